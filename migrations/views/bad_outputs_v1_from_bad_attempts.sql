-- Every attempt that came to something bad, a row for each reason: why, what was written, and all that
-- it was made with. An attempt can be bad for several reasons; a good one is not here.
-- The columns are those of bad_outputs_v1.sql; the reasons now come from bad_attempts_v1.
create or replace view bad_outputs_v1 as
select
    attempts.ticket_id,
    attempts.id as attempt_id,
    attempts.number as attempt,
    attempts.started_at,
    attempts.finished_at,
    tickets.source,
    tickets.external_id,
    tickets.state,
    attempts.language,
    replies.category,
    replies.confidence,
    bad.kind,
    bad.detail,
    attempts.outcome,
    attempts.error,
    attempts.finish_reason,
    attempts.raw_output,
    attempts.profile,
    attempts.model,
    attempts.quantization,
    attempts.engine_version,
    attempts.prompt_version,
    attempts.taxonomy_version,
    attempts.grammar_hash,
    attempts.sampling,
    attempts.seed,
    attempts.prompt_tokens,
    attempts.output_tokens,
    attempts.worker
from bad_attempts_v1 as bad
join attempts on attempts.id = bad.attempt_id
join tickets on tickets.id = attempts.ticket_id
left join replies on replies.attempt_id = attempts.id;
