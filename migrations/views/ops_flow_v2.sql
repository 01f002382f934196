-- What came in and what became of it, by hour of arrival and source. Webhooks: duplicates are repeats of a known
-- delivery, refused had a bad signature or no ticket in them. Tickets count where they are now; dead are those whose
-- last try failed or was refused (they are among needs_human too).
create view ops_flow_v2 as
with arrived as (
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
    left join attempts on attempts.id = tickets.attempt_id and tickets.state = 'needs_human'
    group by hour, tickets.source
),
delivered as (
    select
        date_bin('1 hour', received_at, timestamptz '2000-01-01 00:00:00+00') as hour,
        source,
        sum(repeats)::bigint as duplicates
    from deliveries
    group by hour, source
),
parts as (
    select hour, source, received, ignored, in_flight, replied, needs_human, dead, 0 as duplicates, 0 as refused
    from arrived
    union all
    select hour, source, 0, 0, 0, 0, 0, 0, duplicates, 0
    from delivered
    union all
    select hour, source, 0, 0, 0, 0, 0, 0, 0, refused
    from refusals
)
select
    hour,
    source,
    sum(received)::bigint as received,
    sum(duplicates)::bigint as duplicates,
    sum(refused)::bigint as refused,
    sum(ignored)::bigint as ignored,
    sum(in_flight)::bigint as in_flight,
    sum(replied)::bigint as replied,
    sum(needs_human)::bigint as needs_human,
    sum(dead)::bigint as dead
from parts
group by hour, source;
