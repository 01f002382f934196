-- Stated confidence beside how often it was right, in tenths, for each label field of the tickets that people
-- corrected (a field they left as it was counts as right). Calibrated means that both are the same.
create view ops_calibration_v1 as
with looked_at as (
    select distinct on (corrections.ticket_id)
        corrections.ticket_id,
        corrections.reply_id
    from corrections
    where corrections.reply_id is not null
    order by corrections.ticket_id, corrections.id desc
),
said as (
    select distinct on (corrections.ticket_id, corrections.field)
        corrections.ticket_id,
        corrections.field,
        corrections.value
    from corrections
    order by corrections.ticket_id, corrections.field, corrections.id desc
),
labels as (
    select
        label.field,
        (replies.confidence ->> label.field)::float as confidence,
        coalesce(said.value, label.value) = label.value as is_right
    from looked_at
    join replies on replies.id = looked_at.reply_id
    cross join lateral (
        values
            ('category', replies.category),
            ('type', replies.type),
            ('priority', replies.priority),
            ('sentiment', replies.sentiment)
    ) as label (field, value)
    left join said on said.ticket_id = looked_at.ticket_id and said.field = label.field
)
select
    field,
    least(floor(confidence * 10), 9) / 10 as bucket,
    count(*) as labels,
    avg(confidence) as confidence,
    avg(is_right::int)::float as share_right
from labels
where confidence is not null
group by field, bucket;
