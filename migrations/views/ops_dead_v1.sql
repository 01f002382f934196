-- Tickets that are dead now, whenever they came: each try failed or the engine refused it, and nobody has run them again, discarded or erased them.
create view ops_dead_v1 as
select
    tickets.source,
    count(*) as tickets,
    max(attempts.finished_at) as last_at
from attempts -- those that failed are few and have an index
inner join tickets on tickets.id = attempts.ticket_id and tickets.attempt_id = attempts.id
where
    (
        attempts.outcome in ('retry', 'crashed', 'lost')
        or (attempts.outcome = 'needs_human' and attempts.error is not null)
    )
    and tickets.state = 'needs_human'
    and tickets.erased_at is null
group by tickets.source;
