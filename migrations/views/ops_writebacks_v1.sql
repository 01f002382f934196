-- What was written back to helpdesks, by hour and source: done, skipped (a person was quicker), failed, waiting; retries
-- are the tries beyond the first.
create view ops_writebacks_v1 as
select
    date_bin('1 hour', created_at, timestamptz '2000-01-01 00:00:00+00') as hour,
    source,
    count(*) filter (where state = 'done') as done,
    count(*) filter (where state = 'skipped') as skipped,
    count(*) filter (where state = 'failed') as failed,
    count(*) filter (where state = 'waiting') as waiting,
    sum(greatest(attempts - 1, 0))::bigint as retries
from writebacks
group by hour, source;
