-- Six tickets on a Monday morning, one of each kind, for the tests of the views.
insert into tickets (source, external_id, content_key, subject, body, queue, state, received_at, not_before, language, attempts, reason)
values
    ('zendesk', '1', 'a', 's', 'secret text', 'triage.live', 'replied', '2026-03-02 10:05+00', now(), 'de', 1, null),
    ('zendesk', '2', 'b', 's', 'secret text', 'triage.live', 'replied', '2026-03-02 10:20+00', now(), 'de', 1, null),
    ('zammad', '3', 'c', 's', 'secret text', 'triage.live', 'needs_human', '2026-03-02 11:10+00', now(), 'ja', 1, 'failed checks: no_placeholder'),
    ('zammad', '4', 'd', 's', 'secret text', 'triage.live', 'needs_human', '2026-03-02 11:40+00', now(), null, 1, 'the worker stopped answering'),
    ('generic', '5', 'e', 's', 'secret text', 'triage.live', 'received', now(), now() - interval '60 seconds', null, 0, null),
    ('zendesk', '6', 'f', 's', 'secret text', 'triage.live', 'ignored', '2026-03-02 10:50+00', now(), null, 0, 'an agent wrote it');

insert into deliveries (source, delivery_key, event, ticket_id, received_at, repeats)
select source, external_id, 'ticket', id, received_at, case when id = 1 then 2 else 0 end from tickets;

insert into attempts (
    ticket_id, number, worker, outcome, started_at, finished_at, profile, model, prompt_version, taxonomy_version, language,
    raw_output, finish_reason, prompt_tokens, cached_tokens, output_tokens, queue_ms, engine_ms
)
values
    (1, 1, 'w', 'replied', '2026-03-02 10:05:05+00', '2026-03-02 10:05:10+00', 'nemo', 'm', 'triage-1', '1', 'de', '{}', 'stop', 700, 600, 100, 0, 3000),
    (2, 1, 'w', 'replied', '2026-03-02 10:20:05+00', '2026-03-02 10:20:20+00', 'nemo', 'm', 'triage-1', '1', 'de', '{}', 'stop', 900, 600, 140, 0, 6000),
    (3, 1, 'w', 'needs_human', '2026-03-02 11:10:05+00', '2026-03-02 11:10:30+00', 'nemo', 'm', 'triage-2', '1', 'ja', '{}', 'stop', 800, 600, 120, 0, 9000),
    (4, 1, 'w', 'lost', '2026-03-02 11:40:05+00', '2026-03-02 11:41:00+00', null, null, null, null, null, null, null, null, null, null, null, null);

insert into replies (
    ticket_id, attempt_id, category, type, priority, sentiment, entities, summary, reply, confidence, least_confidence,
    disposition, disposition_reason
)
values
    (1, 1, 'billing', 'problem', 'high', 'negative', '[]', 's', 'r', '{"category": 0.98, "type": 0.95, "priority": 0.95, "sentiment": 0.95}', 0.95, 'auto', null),
    (2, 2, 'returns', 'problem', 'high', 'negative', '[]', 's', 'r', '{"category": 0.72, "type": 0.95, "priority": 0.95, "sentiment": 0.95}', 0.72, 'suggest', 'unsure: category'),
    (3, 3, 'returns', 'request', 'low', 'neutral', '[]', 's', 'r', '{"category": 0.98, "type": 0.95, "priority": 0.95, "sentiment": 0.95}', 0.95, 'human', 'failed checks: no_placeholder');

insert into desks (sha256, prompt_version, language, instruction, taxonomy)
values ('d', 'triage-1', 'en', 'i', '{"version": "1", "categories": [
    {"value": "billing", "description": "d", "team": "finance"},
    {"value": "sales", "description": "d", "team": "sales"},
    {"value": "returns", "description": "d", "team": null}
]}');
update attempts set desk_sha256 = 'd' where outcome in ('replied', 'needs_human');

update tickets
set
    attempt_id = attempts.id,
    reply_id = (select replies.id from replies where replies.attempt_id = attempts.id)
from attempts
where attempts.ticket_id = tickets.id;

insert into findings (attempt_id, check_name, detail) values (3, 'no_placeholder', '[Name]');

insert into corrections (ticket_id, field, value, model_value, reply_id, corrected_by)
values
    (2, 'category', 'sales', 'returns', 2, 'Ana'),
    (2, 'category', 'billing', 'returns', 2, 'Ana');

insert into refusals (hour, source, kind, refused)
values
    ('2026-03-02 10:00+00', 'zendesk', 'bad signature', 3),
    ('2026-03-02 10:00+00', 'zendesk', 'unusable body', 1),
    ('2026-03-02 11:00+00', 'zendesk', 'bad signature', 1);

insert into writebacks (ticket_id, reply_id, source, state, reason, attempts, created_at)
values
    (1, 1, 'zendesk', 'done', null, 3, '2026-03-02 10:06+00'),
    (2, 2, 'zendesk', 'skipped', 'a person answered', 1, '2026-03-02 10:21+00'),
    (3, 3, 'zammad', 'waiting', null, 0, '2026-03-02 11:11+00');

insert into workers (name, profile, queues, in_flight) values ('worker-1', 'nemo', '{triage.live,triage.bulk}', 16);

insert into replays (state, actor, reason, selection, as_it_was, created_at, ended_at)
values ('done', 'Ana', 'a new prompt', '{}', false, '2026-03-02 11:45+00', '2026-03-02 11:50+00');

insert into attempts (ticket_id, replay_id, number, worker, outcome, started_at, finished_at, profile, prompt_version)
values (2, 1, 1, 'w', 'replied', '2026-03-02 11:46+00', '2026-03-02 11:47+00', 'nemo', 'triage-2');

insert into replies (
    ticket_id, attempt_id, category, type, priority, sentiment, entities, summary, reply, confidence, least_confidence,
    disposition
)
values (2, 5, 'billing', 'problem', 'high', 'negative', '[]', 's', 'r', '{"category": 0.97}', 0.97, 'auto');

insert into reruns (replay_id, ticket_id, base_attempt_id, queue, state, attempts, attempt_id, reply_id)
values (1, 2, 2, 'triage.replay', 'replied', 1, 5, 4);
