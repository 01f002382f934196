-- Seconds from a ticket's arrival to its result, by hour of arrival, language and priority. Tickets whose result a
-- replay made later are left out.
create view ops_time_to_triage_v1 as
select
    date_bin('1 hour', tickets.received_at, timestamptz '2000-01-01 00:00:00+00') as hour,
    tickets.language,
    replies.priority,
    count(*) as tickets,
    percentile_cont(0.50) within group (order by extract(epoch from attempts.finished_at - tickets.received_at)) as p50_s,
    percentile_cont(0.95) within group (order by extract(epoch from attempts.finished_at - tickets.received_at)) as p95_s,
    percentile_cont(0.99) within group (order by extract(epoch from attempts.finished_at - tickets.received_at)) as p99_s
from tickets
join attempts on attempts.id = tickets.attempt_id and attempts.replay_id is null
left join replies on replies.id = tickets.reply_id
where tickets.state in ('replied', 'needs_human')
group by hour, tickets.language, replies.priority;
