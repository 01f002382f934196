-- Webhook deliveries that were accepted, by hour and source; duplicates are repeats of a delivery that was known.
create view ops_deliveries_v1 as
select
    date_bin('1 hour', received_at, timestamptz '2000-01-01 00:00:00+00') as hour,
    source,
    count(*) as deliveries,
    sum(repeats) as duplicates
from deliveries
group by hour, source;
