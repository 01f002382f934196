-- The same figures for each way of answering: what profile, model, prompt and taxonomy came to, by hour of arrival.
create view ops_versions_v1 as
select
    date_bin('1 hour', tickets.received_at, timestamptz '2000-01-01 00:00:00+00') as hour,
    attempts.profile,
    attempts.model,
    attempts.prompt_version,
    attempts.taxonomy_version,
    count(*) as tickets,
    count(*) filter (where tickets.state = 'needs_human') as needs_human,
    count(*) filter (where replies.disposition = 'auto') as auto,
    count(*) filter (
        where exists (select from corrections where corrections.ticket_id = tickets.id)
    ) as corrected,
    count(*) filter (where attempts.finish_reason = 'length') as cut_off,
    avg(attempts.output_tokens)::float as output_tokens,
    avg(attempts.engine_ms)::float / 1000 as engine_s
from tickets
join attempts on attempts.id = tickets.attempt_id
left join replies on replies.id = tickets.reply_id
where tickets.state in ('replied', 'needs_human')
group by hour, attempts.profile, attempts.model, attempts.prompt_version, attempts.taxonomy_version;
