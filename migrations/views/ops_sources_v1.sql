-- The last accepted delivery of each source: one that has been silent for long may have been switched off over there.
create view ops_sources_v1 as
with recursive sources as (
    select min(source) as source from deliveries
    union all
    select (select min(deliveries.source) from deliveries where deliveries.source > sources.source)
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
    where deliveries.source = sources.source
    order by deliveries.received_at desc
    limit 1
) as last
where sources.source is not null;
