-- What the model said against what people said, for each label field of the tickets they corrected: the newest value
-- they gave, and the model's where they left a field as it was.
create view ops_confusion_v1 as
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
)
select
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
left join said on said.ticket_id = looked_at.ticket_id and said.field = labels.field
group by labels.field, model, person;
