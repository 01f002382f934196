-- Checks that outputs failed, by hour of the attempt, check, language and prompt version.
create view ops_checks_v2 as
select
    date_bin('1 hour', attempts.started_at, timestamptz '2000-01-01 00:00:00+00') as hour,
    findings.check_name,
    attempts.language,
    attempts.prompt_version,
    count(*) as failed
from attempts
join findings on findings.attempt_id = attempts.id
group by hour, findings.check_name, attempts.language, attempts.prompt_version;
