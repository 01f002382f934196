-- What the model said against what people said, for each label field of the tickets they corrected, by hour of the
-- newest correction: the newest value they gave, and the model's where they left a field as it was.
create view ops_confusion_v2 as
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
)
select
    looked_at.hour,
    labels.field,
    labels.value as model,
    coalesce(said.value, labels.value) as person,
    count(*) as tickets
from looked_at
join replies on replies.id = looked_at.reply_id
cross join lateral (
    values
        ('category', replies.category),
        ('type', replies.type),
        ('priority', replies.priority),
        ('sentiment', replies.sentiment)
) as labels (field, value)
left join lateral (
    select corrections.value
    from corrections
    where corrections.ticket_id = looked_at.ticket_id and corrections.field = labels.field
    order by corrections.id desc
    limit 1
) as said on true
group by looked_at.hour, labels.field, model, person;
