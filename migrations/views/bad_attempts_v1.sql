-- Which attempts came to something bad, and why: a row for each reason. `bad_outputs_v1` has the same rows with all
-- that is known of the attempt; this one reads no more than it has to.
create view bad_attempts_v1 (attempt_id, kind, detail) as
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

-- The engine died or hung, or the worker was lost.
select
    attempts.id,
    case attempts.error when 'DeadlineExceeded' then 'deadline' else 'engine_error' end,
    attempts.reason
from attempts
where attempts.outcome in ('retry', 'crashed', 'lost')

union all

-- The engine refused it, or could not take it: no other try would have been better.
select
    attempts.id,
    'engine_error',
    attempts.reason
from attempts
where attempts.outcome = 'needs_human' and attempts.error is not null

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

-- A person wrote something else, and did not put it back.
select
    replies.attempt_id,
    'corrected',
    corrections.field || ': ' || coalesce(corrections.model_value, '')
    || ' -> ' || corrections.value || ' (' || corrections.corrected_by || ')'
from corrections
join replies on replies.id = corrections.reply_id
where
    corrections.value is distinct from corrections.model_value
    and not exists (
        select
        from corrections as later
        where
            later.ticket_id = corrections.ticket_id
            and later.field = corrections.field
            and later.id > corrections.id
    );
