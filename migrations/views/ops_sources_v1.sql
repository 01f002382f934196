-- The last delivery that each source's webhook brought: one that has been silent for long may have been switched off over
-- there. What `triage reconcile` fetched and what was imported does not count.
create view ops_sources_v1 as
with recursive sources as (
    select min(source) as source from deliveries where event not in ('import', 'reconcile')
    union all
    select (
        select min(deliveries.source)
        from deliveries
        where deliveries.source > sources.source and event not in ('import', 'reconcile')
    )
    from sources
    where sources.source is not null
)
select
    sources.source,
    last.received_at as last_event_at,
    extract(epoch from now() - last.received_at)::float as silent_s
from sources
cross join lateral (
    select deliveries.received_at
    from deliveries
    where deliveries.source = sources.source and event not in ('import', 'reconcile')
    order by deliveries.received_at desc
    limit 1
) as last
where sources.source is not null;
