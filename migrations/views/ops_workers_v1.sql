-- The workers there are: profile, queues, places; seen_s is how long ago each said so (they do every 5 seconds).
create view ops_workers_v1 as
select
    name,
    profile,
    queues,
    in_flight as places,
    started_at,
    extract(epoch from now() - seen_at)::float as seen_s
from workers;
