-- How often people wrote something else than the model, by hour of arrival, field, language and the model's category;
-- beside ops_dispositions_v1.tickets this gives the rate. A field corrected twice counts once.
create view ops_corrections_v1 as
select
    date_bin('1 hour', tickets.received_at, timestamptz '2000-01-01 00:00:00+00') as hour,
    corrections.field,
    tickets.language,
    replies.category,
    count(distinct corrections.ticket_id) as corrected
from corrections
join tickets on tickets.id = corrections.ticket_id
left join replies on replies.id = corrections.reply_id
where corrections.value is distinct from corrections.model_value
group by hour, corrections.field, tickets.language, replies.category;
