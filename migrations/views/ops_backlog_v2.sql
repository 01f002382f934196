-- What waits and what is in work, by queue; oldest_s is how long the oldest ticket that is due has waited, in seconds.
create view ops_backlog_v2 as
with open as ( -- each half by an index of its own
    select queue, state, not_before from tickets where state = 'received'
    union all
    select queue, state, not_before from tickets where state = 'triaging'
)
select
    queue,
    count(*) filter (where state = 'received') as waiting,
    count(*) filter (where state = 'triaging') as in_work,
    coalesce(
        extract(epoch from now() - min(not_before) filter (where state = 'received' and not_before <= now())), 0
    )::float as oldest_s
from open
group by queue;
