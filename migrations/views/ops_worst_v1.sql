-- Results that are bad in some way, with how sure the model was: the least sure come first when ordered by it.
create view ops_worst_v1 as
select
    tickets.id as ticket_id,
    tickets.source,
    tickets.external_id,
    tickets.received_at,
    tickets.language,
    tickets.state,
    replies.category,
    replies.least_confidence,
    bad.kind,
    tickets.reason
from bad_attempts_v1 as bad
join tickets on tickets.attempt_id = bad.attempt_id
left join replies on replies.id = tickets.reply_id;
