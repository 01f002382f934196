-- Tickets by day, language and category beside what is usual: the mean of the same weekday in the four weeks before.
-- Days that are over were counted once, by the sweep; those it has not counted yet are counted here.
create view ops_mix_v2 as
with days as (
    select
        day,
        language,
        category,
        tickets
    from daily_mix
    union all
    select
        date_bin('1 day', tickets.received_at, timestamptz '2000-01-01 00:00:00+00') as day,
        coalesce(tickets.language, '') as language,
        coalesce(replies.category, '') as category,
        count(*) as tickets
    from tickets
    left join replies on replies.id = tickets.reply_id
    where
        tickets.state in ('replied', 'needs_human')
        and date_bin('1 hour', tickets.received_at, timestamptz '2000-01-01 00:00:00+00')
        >= (select coalesce(max(day) + interval '1 day', '-infinity') from daily_mix)
    group by 1, 2, 3
)
select
    days.day,
    nullif(days.language, '') as language,
    nullif(days.category, '') as category,
    days.tickets,
    coalesce(earlier.tickets, 0)::float / 4 as usual
from days
left join lateral (
    select sum(before.tickets) as tickets
    from daily_mix as before
    where
        before.language = days.language
        and before.category = days.category
        and before.day in (
            days.day - interval '7 days',
            days.day - interval '14 days',
            days.day - interval '21 days',
            days.day - interval '28 days'
        )
) as earlier on true;
