-- What may be done with the results, by hour of arrival, language and category: sent (auto), suggested, or left to a
-- person, who also gets what has no reply at all.
create view ops_dispositions_v1 as
select
    date_bin('1 hour', tickets.received_at, timestamptz '2000-01-01 00:00:00+00') as hour,
    tickets.language,
    replies.category,
    count(*) as tickets,
    count(*) filter (where replies.disposition = 'auto') as auto,
    count(*) filter (where replies.disposition = 'suggest') as suggest,
    count(*) filter (where coalesce(replies.disposition, 'human') = 'human') as human
from tickets
left join replies on replies.id = tickets.reply_id
where tickets.state in ('replied', 'needs_human')
group by hour, tickets.language, replies.category;
