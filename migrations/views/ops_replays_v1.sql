-- Replays and how far they are: tickets, done, with another category than before, promoted.
create view ops_replays_v1 as
select
    replays.id as replay_id,
    replays.state,
    replays.actor,
    replays.created_at,
    replays.ended_at,
    count(*) as tickets,
    count(*) filter (where reruns.state in ('replied', 'needs_human')) as done,
    count(*) filter (where after.category is distinct from before.category and after.id is not null) as recategorized,
    count(reruns.promoted_at) as promoted
from replays
join reruns on reruns.replay_id = replays.id
left join replies as before on before.attempt_id = reruns.base_attempt_id
left join replies as after on after.id = reruns.reply_id
group by replays.id;
