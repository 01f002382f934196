-- What came in and what became of it, by hour of arrival and source. A ticket counts where it is now; dead are those
-- whose last try failed or was refused (they are among needs_human too).
create view ops_flow_v1 as
select
    date_bin('1 hour', tickets.received_at, timestamptz '2000-01-01 00:00:00+00') as hour,
    tickets.source,
    count(*) as received,
    count(*) filter (where tickets.state = 'ignored') as ignored,
    count(*) filter (where tickets.state in ('received', 'triaging')) as in_flight,
    count(*) filter (where tickets.state = 'replied') as replied,
    count(*) filter (where tickets.state = 'needs_human') as needs_human,
    count(*) filter (
        where tickets.state = 'needs_human' and (
            attempts.outcome in ('retry', 'crashed', 'lost')
            or (attempts.outcome = 'needs_human' and attempts.error is not null)
        )
    ) as dead
from tickets
left join attempts on attempts.id = tickets.attempt_id
group by hour, tickets.source;
