-- Webhooks that were refused, by hour, source and kind: a wrong secret, a body that is no ticket.
create view ops_refused_v1 as
select
    hour,
    source,
    kind,
    refused
from refusals;
