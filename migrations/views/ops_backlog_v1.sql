-- What waits and what is in work, by queue; oldest_s is how long the oldest ticket that is due has waited, in seconds.
create view ops_backlog_v1 as
select
    queue,
    count(*) filter (where state = 'received') as waiting,
    count(*) filter (where state = 'triaging') as in_work,
    coalesce(
        extract(epoch from now() - min(not_before) filter (where state = 'received' and not_before <= now())), 0
    )::float as oldest_s
from tickets
where state in ('received', 'triaging')
group by queue;
