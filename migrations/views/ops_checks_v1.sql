-- Checks that results failed, by hour of arrival, check, language and prompt version.
create view ops_checks_v1 as
select
    date_bin('1 hour', tickets.received_at, timestamptz '2000-01-01 00:00:00+00') as hour,
    findings.check_name,
    tickets.language,
    attempts.prompt_version,
    count(*) as failed
from findings
join attempts on attempts.id = findings.attempt_id
join tickets on tickets.id = attempts.ticket_id
group by hour, findings.check_name, tickets.language, attempts.prompt_version;
