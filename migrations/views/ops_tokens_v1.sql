-- Tokens and the engine's time, by hour of the attempt and profile. cached_share is the part of the prompts that was
-- in the engine's cache; running is how many sequences ran at once on average over the hour (an engine runs 16).
create view ops_tokens_v1 as
select
    date_bin('1 hour', started_at, timestamptz '2000-01-01 00:00:00+00') as hour,
    profile,
    count(*) as attempts,
    sum(prompt_tokens) as prompt_tokens,
    sum(cached_tokens) as cached_tokens,
    sum(output_tokens) as output_tokens,
    sum(cached_tokens)::float / nullif(sum(prompt_tokens), 0) as cached_share,
    sum(engine_ms)::float / 3600000 as running
from attempts
where engine_ms is not null
group by hour, profile;
