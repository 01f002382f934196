-- What workers hold that stopped renewing their leases, by queue, until the sweep takes it back; oldest_s is how long ago
-- the oldest of these leases ran out, in seconds.
create view ops_leases_v1 as
with leased as (
    select queue, claimed_until from tickets where state = 'triaging'
    union all
    select queue, claimed_until from reruns where state = 'triaging'
)
select
    queue,
    count(*) as expired,
    extract(epoch from now() - min(claimed_until))::float as oldest_s
from leased
where claimed_until < now()
group by queue;
