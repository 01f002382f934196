-- What each team has got, by hour of arrival, category and language. The category is a person's where one gave it; its
-- team is the one that the taxonomy named when the ticket was triaged, null where it names none.
create view ops_teams_v1 as
with teams as materialized (
    select desks.sha256, category ->> 'value' as category, category ->> 'team' as team
    from desks
    cross join lateral jsonb_array_elements(desks.taxonomy -> 'categories') as category
)
select
    date_bin('1 hour', tickets.received_at, timestamptz '2000-01-01 00:00:00+00') as hour,
    teams.team,
    coalesce(said.value, replies.category) as category,
    tickets.language,
    count(*) as tickets,
    count(*) filter (where replies.disposition = 'human') as human
from tickets
join replies on replies.id = tickets.reply_id
join attempts on attempts.id = replies.attempt_id
left join lateral (
    select corrections.value
    from corrections
    where corrections.ticket_id = tickets.id and corrections.field = 'category'
    order by corrections.id desc
    limit 1
) as said on true
left join teams
    on teams.sha256 = attempts.desk_sha256 and teams.category = coalesce(said.value, replies.category)
where tickets.state in ('replied', 'needs_human')
group by hour, teams.team, coalesce(said.value, replies.category), tickets.language;
