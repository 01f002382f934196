-- Results that are bad in some way, with how sure the model was: the least sure come first when ordered by it. Hold it
-- to a time: each ticket is looked up by itself, which is quick for some thousands.
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
from tickets
cross join lateral (
    select bad_attempts_v1.kind
    from bad_attempts_v1
    where bad_attempts_v1.attempt_id = tickets.attempt_id
    offset 0 -- so that Postgres looks up one attempt, and does not first make the list of all
) as bad
left join replies on replies.id = tickets.reply_id;
