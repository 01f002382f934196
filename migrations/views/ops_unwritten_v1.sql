-- Replies that wait to be written back to their helpdesk; oldest_s is how long ago the oldest was ordered, in seconds.
create view ops_unwritten_v1 as
select
    source,
    count(*) as replies,
    extract(epoch from now() - min(created_at))::float as oldest_s
from writebacks
where state = 'waiting'
group by source;
