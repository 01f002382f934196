-- Every attempt that came to something bad, a row for each reason: why, what was written, and all that
-- it was made with. An attempt can be bad for several reasons; a good one is not here.
create view bad_outputs_v1 as
with bad (attempt_id, kind, detail) as (
    -- The output was no reply: broken off at the token limit, or not what the schema asks for.
    select
        attempts.id,
        case attempts.finish_reason when 'length' then 'cut_off' else 'not_parsed' end,
        attempts.reason
    from attempts
    left join replies on replies.attempt_id = attempts.id
    where
        attempts.raw_output is not null
        and attempts.outcome = 'needs_human'
        and replies.id is null

    union all

    -- A check failed; the customer's language has a kind of its own.
    select
        findings.attempt_id,
        case findings.check_name
            when 'reply_in_the_customers_language' then 'wrong_language'
            else 'check_failed'
        end,
        findings.check_name || ': ' || findings.detail
    from findings

    union all

    -- The engine died, hung or refused, or the worker was lost.
    select
        attempts.id,
        case attempts.error when 'DeadlineExceeded' then 'deadline' else 'engine_error' end,
        attempts.reason
    from attempts
    where attempts.outcome in ('retry', 'crashed', 'lost')

    union all

    -- The model was less sure of a label than the desk wants.
    select
        replies.attempt_id,
        'below_threshold',
        replies.disposition_reason
    from replies
    where
        replies.disposition = 'human'
        and replies.disposition_reason like 'unsure: %'

    union all

    -- A person wrote something else.
    select
        replies.attempt_id,
        'corrected',
        corrections.field || ': ' || coalesce(corrections.model_value, '')
        || ' -> ' || corrections.value || ' (' || corrections.corrected_by || ')'
    from corrections
    join replies on replies.id = corrections.reply_id
)
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
from bad
join attempts on attempts.id = bad.attempt_id
join tickets on tickets.id = attempts.ticket_id
left join replies on replies.attempt_id = attempts.id;
