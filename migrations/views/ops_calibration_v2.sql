-- Stated confidence beside how often it was right, in tenths, for each label field of the tickets that people
-- corrected (a field they left as it was counts as right), by hour of the newest correction: over hours, add up `labels`,
-- `stated` (the sum of the confidences) and `right_ones`. Calibrated means that both shares are the same.
create view ops_calibration_v2 as
with looked_at as (
    select
        corrections.ticket_id,
        corrections.reply_id,
        date_bin('1 hour', corrections.created_at, timestamptz '2000-01-01 00:00:00+00') as hour
    from corrections
    where
        corrections.reply_id is not null
        and not exists (
            select from corrections as later
            where later.ticket_id = corrections.ticket_id and later.id > corrections.id
        )
),
labels as (
    select
        looked_at.hour,
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
    left join lateral (
        select corrections.value
        from corrections
        where corrections.ticket_id = looked_at.ticket_id and corrections.field = label.field
        order by corrections.id desc
        limit 1
    ) as said on true
)
select
    hour,
    field,
    least(floor(confidence * 10), 9) / 10 as bucket,
    count(*) as labels,
    sum(confidence) as stated,
    count(*) filter (where is_right) as right_ones
from labels
where confidence is not null
group by hour, field, bucket;
