-- Tickets by day, language and category beside what is usual: the mean of the same weekday in the four weeks before.
create view ops_mix_v1 as
with days as (
    select
        date_bin('1 day', tickets.received_at, timestamptz '2000-01-01 00:00:00+00') as day,
        tickets.language,
        replies.category,
        count(*) as tickets
    from tickets
    left join replies on replies.id = tickets.reply_id
    where tickets.state in ('replied', 'needs_human')
    group by day, tickets.language, replies.category
)
select
    days.day,
    days.language,
    days.category,
    days.tickets,
    (
        select coalesce(sum(earlier.tickets), 0)::float / 4
        from days as earlier
        where
            earlier.language is not distinct from days.language
            and earlier.category is not distinct from days.category
            and earlier.day in (
                days.day - interval '7 days',
                days.day - interval '14 days',
                days.day - interval '21 days',
                days.day - interval '28 days'
            )
    ) as usual
from days;
