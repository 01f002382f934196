-- How often people wrote something else than the model, by hour of arrival, field, language and the model's category;
-- beside ops_dispositions_v1.tickets this gives the rate. The last word on a field counts: put back, it is no correction.
create view ops_corrections_v1 as
select
    date_bin('1 hour', tickets.received_at, timestamptz '2000-01-01 00:00:00+00') as hour,
    corrections.field,
    tickets.language,
    replies.category,
    count(*) as corrected
from corrections
join tickets on tickets.id = corrections.ticket_id
join replies on replies.id = corrections.reply_id
where
    corrections.value is distinct from corrections.model_value
    and not exists (
        select
        from corrections as later
        where
            later.ticket_id = corrections.ticket_id
            and later.field = corrections.field
            and later.id > corrections.id
    )
group by hour, corrections.field, tickets.language, replies.category;
