-- :tickets triaged tickets, :apart from one to the next, each with its attempt and reply, as wide as real ones; one in ten is bad in some way.
insert into desks (sha256, prompt_version, language, taxonomy, instruction)
values ('desk', 'triage-1', 'en', '{}', '');

insert into tickets (source, external_id, content_key, subject, body, queue, state, received_at, language, attempts)
select
    (array['zendesk', 'zammad', 'generic'])[1 + n % 3],
    n::text,
    md5(n::text),
    'A subject',
    repeat('A sentence of a ticket. ', 20),
    'triage.live',
    case when n % 10 = 0 then 'needs_human' else 'replied' end,
    now() - (:tickets - n) * interval ':apart',
    (array['de', 'fr', 'ja', 'zh', 'en'])[1 + n % 5],
    1
from generate_series(1, :tickets) as n;

insert into attempts (
    ticket_id, number, worker, outcome, reason, error, profile, model, quantization, engine_version, hardware,
    desk_sha256, prompt_version, prompt_hash, grammar_hash, taxonomy_version, sampling, seed, language, language_tag,
    started_at, finished_at, raw_output, finish_reason, prompt_tokens, cached_tokens, output_tokens, queue_ms, engine_ms
)
select
    id,
    1,
    'worker-1',
    case when id % 100 = 50 then 'lost' else state end,
    case when id % 10 = 0 then 'unsure' end,
    case when id % 100 = 50 then 'EngineCrashed' end,
    case when id % 4 = 0 then 'nemo-fp8-128k' else 'nemo-awq-32k' end,
    'mistral-nemo',
    'awq',
    'vllm 0.33.0',
    'NVIDIA GeForce RTX 4090',
    'desk',
    case when id % 50 = 0 then 'triage-2' else 'triage-1' end,
    md5(id::text) || md5(id::text),
    repeat('0', 64),
    '2026-01',
    '{"temperature": 0.0}',
    0,
    language,
    language,
    received_at + interval '1 second',
    received_at + interval '5 seconds',
    repeat('An output of a model. ', 20),
    'stop',
    700,
    600,
    120,
    50,
    3000 + id % 1000
from tickets;

insert into replies (
    ticket_id, attempt_id, category, type, priority, sentiment, entities, summary, reply, confidence,
    least_confidence, disposition, disposition_reason
)
select
    ticket_id,
    id,
    (array['billing', 'returns', 'outage', 'sales', 'spam'])[1 + ticket_id % 5],
    'problem',
    'high',
    'negative',
    '[]',
    repeat('A summary. ', 10),
    repeat('A sentence of a reply. ', 15),
    '{"category": 0.9, "type": 0.9, "priority": 0.9, "sentiment": 0.9}',
    (ticket_id % 1000) / 1000.0,
    case when ticket_id % 20 = 0 then 'human' else 'auto' end,
    case when ticket_id % 20 = 0 then 'unsure: category 0.41 of 0.50' end
from attempts
where outcome <> 'lost' and ticket_id % 40 <> 10;

insert into deliveries (source, delivery_key, event, ticket_id, received_at)
select source, external_id, 'ticket', id, received_at from tickets;

insert into findings (attempt_id, check_name, detail)
select id, 'no_placeholder', '[Name]' from attempts where ticket_id % 30 = 0;

insert into corrections (ticket_id, field, value, model_value, reply_id, corrected_by, created_at)
select replies.ticket_id, 'category', 'returns', replies.category, replies.id, 'Ana', tickets.received_at + interval '1 minute'
from replies
join tickets on tickets.id = replies.ticket_id
where replies.ticket_id % 200 = 0;

update tickets
set
    attempt_id = attempts.id,
    reply_id = (select replies.id from replies where replies.attempt_id = attempts.id)
from attempts
where attempts.ticket_id = tickets.id;

insert into writebacks (ticket_id, reply_id, source, state, attempts, created_at, ended_at)
select
    id,
    reply_id,
    source,
    (array['done', 'done', 'done', 'skipped', 'failed'])[1 + id % 5],
    1 + id % 2,
    received_at + interval '6 seconds',
    received_at + interval '8 seconds'
from tickets
where reply_id is not null and state = 'replied';
