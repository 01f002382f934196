"""What the dashboards show: every panel's title, kind, unit and query. They select from views only.

`$__timeFilter`, `$__timeFrom` and `${source:sqlstring}` are Grafana's own; tests run each query with them
filled in.
"""

from dataclasses import dataclass

OF_SOURCES = "$__timeFilter(hour) and source in (${source:sqlstring})"
IN_TIME = "$__timeFilter(hour)"


@dataclass(frozen=True, slots=True)
class Panel:
    """`kind` is stat, lines, bars or table; `width` is in twenty-fourths of the page."""

    title: str
    kind: str
    sql: str
    unit: str = "short"
    width: int = 12
    height: int = 8
    description: str = ""


def counted(title: str, column: str, description: str) -> Panel:
    """One number over the flow."""
    sql = f'select coalesce(sum({column}), 0)::bigint as "{title}" from ops_flow_v2 where {OF_SOURCES}'
    return Panel(title, "stat", sql, width=3, height=4, description=description)


OPERATIONS = (
    counted("Received", "received", "Tickets that came in."),
    counted("Refused", "refused", "Webhooks with a bad signature or without a ticket in them."),
    counted("Replied", "replied", "Classified, with a drafted reply."),
    counted("Need a person", "needs_human", "Unsure, failed a check, unreadable or dead."),
    counted("In flight", "in_flight", "Waiting or in work now."),
    counted("Dead", "dead", "Their last try failed: `triage dead list`."),
    Panel(
        "Oldest ticket waits",
        "stat",
        'select coalesce(max(oldest_s), 0) as "waits" from ops_backlog_v2',
        unit="s",
        width=6,
        height=4,
        description="Minutes mean that workers do not keep up.",
    ),
    Panel(
        "Flow",
        "bars",
        "select hour as time, sum(received)::bigint as received, sum(replied)::bigint as replied, "
        'sum(needs_human)::bigint as "needs a person" '
        f"from ops_flow_v2 where {OF_SOURCES} group by hour order by hour",
        width=24,
    ),
    Panel(
        "Time to triage",
        "lines",
        "select hour as time, max(p50_s) as p50, max(p95_s) as p95, max(p99_s) as p99 "
        f"from ops_time_to_triage_v1 where {IN_TIME} group by hour order by hour",
        unit="s",
        description="Seconds from arrival to result; of the slowest language and priority.",
    ),
    Panel(
        "Duplicates and refusals",
        "lines",
        "select hour as time, sum(duplicates)::bigint as duplicates, sum(refused)::bigint as refused "
        f"from ops_flow_v2 where {OF_SOURCES} group by hour order by hour",
        description="Deliveries that helpdesks repeated (each was taken once), and such as were refused.",
    ),
    Panel(
        "Queues",
        "table",
        "select queue, waiting, in_work, oldest_s from ops_backlog_v2 order by queue",
        width=8,
    ),
    Panel(
        "Sources",
        "table",
        "select source, last_event_at, silent_s from ops_sources_v1 order by silent_s desc",
        width=8,
        description="A source that is silent for long may have switched its webhook off.",
    ),
    Panel(
        "Workers",
        "table",
        "select name, profile, array_to_string(queues, ', ') as queues, places, seen_s from ops_workers_v1 order by name",
        width=8,
    ),
)

QUALITY = (
    Panel(
        "Dispositions",
        "bars",
        "select hour as time, sum(auto)::bigint as auto, sum(suggest)::bigint as suggest, sum(human)::bigint as human "
        f"from ops_dispositions_v1 where {IN_TIME} group by hour order by hour",
        description="What may be sent, what is suggested, what a person has to do.",
    ),
    Panel(
        "Abstention by language",
        "table",
        "select language, sum(tickets)::bigint as tickets, sum(human)::float / sum(tickets) as human "
        f"from ops_dispositions_v1 where {IN_TIME} group by language order by human desc",
    ),
    Panel(
        "Corrections",
        "lines",
        "select hour as time, field as metric, sum(corrected)::bigint as value "
        f"from ops_corrections_v1 where {IN_TIME} group by hour, field order by hour",
    ),
    Panel(
        "Model against person",
        "table",
        "select field, model, person, sum(tickets)::bigint as tickets from ops_confusion_v2 "
        f"where model <> person and {IN_TIME} group by field, model, person order by tickets desc limit 50",
    ),
    Panel(
        "Calibration of categories",
        "table",
        "select bucket, sum(labels)::bigint as labels, sum(stated) / sum(labels) as confidence, "
        "sum(right_ones)::float / sum(labels) as share_right "
        f"from ops_calibration_v2 where field = 'category' and {IN_TIME} group by bucket order by bucket",
        description="Confidence beside how often it was right, on tickets that people corrected.",
    ),
    Panel(
        "Failed checks",
        "table",
        f"select check_name, prompt_version, sum(failed)::bigint as failed from ops_checks_v2 where {IN_TIME} "
        "group by check_name, prompt_version order by failed desc",
    ),
    Panel(
        "Versions",
        "table",
        "select profile, model, prompt_version, taxonomy_version, sum(tickets)::bigint as tickets, "
        "sum(needs_human)::float / sum(tickets) as needs_human, sum(auto)::float / sum(tickets) as auto, "
        "sum(corrected)::bigint as corrected "
        f"from ops_versions_v1 where {IN_TIME} group by profile, model, prompt_version, taxonomy_version "
        "order by tickets desc",
        width=24,
    ),
    Panel(
        "Out of the ordinary",
        "table",
        "select day, language, category, tickets, usual from ops_mix_v2 "
        "where $__timeFilter(day) and tickets > 1.5 * usual and tickets > 10 order by tickets desc limit 50",
        description="Half as many again as on the same weekday of the four weeks before.",
    ),
    Panel(
        "Worst",
        "table",
        "select ticket_id, source, external_id, language, kind, least_confidence from ops_worst_v1 "
        "where $__timeFilter(received_at) order by least_confidence nulls first limit 50",
    ),
)

ENGINE = (
    Panel(
        "Sequences running",
        "lines",
        f"select hour as time, profile as metric, running as value from ops_tokens_v1 where {IN_TIME} order by hour",
        description="On average over the hour, of all workers together; each engine runs 16.",
    ),
    Panel(
        "Tokens written a second",
        "lines",
        "select hour as time, profile as metric, output_tokens / 3600.0 as value "
        f"from ops_tokens_v1 where {IN_TIME} order by hour",
    ),
    Panel(
        "Prompts from the cache",
        "lines",
        f"select hour as time, profile as metric, cached_share as value from ops_tokens_v1 where {IN_TIME} order by hour",
        unit="percentunit",
    ),
    Panel(
        "Engine's seconds for a ticket",
        "lines",
        "select hour as time, profile as metric, avg(engine_s) as value "
        f"from ops_versions_v1 where {IN_TIME} group by hour, profile order by hour",
        unit="s",
    ),
)

WRITE_BACK = Panel(
    "Write-back",
    "bars",
    "select hour as time, sum(done)::bigint as done, sum(skipped)::bigint as skipped, sum(failed)::bigint as failed, "
    f"sum(waiting)::bigint as waiting from ops_writebacks_v1 where {OF_SOURCES} group by hour order by hour",
    description="Replies that went back to helpdesks; skipped because a person was quicker.",
)

REPLAY = (
    Panel(
        "Replays",
        "table",
        "select replay_id, state, actor, created_at, ended_at, tickets, done, recategorized, promoted "
        "from ops_replays_v1 order by replay_id desc limit 100",
        width=24,
        height=12,
        description="`triage replay compare ID` and the page under /ops show what changed.",
    ),
    Panel(
        "Bad results by kind",
        "table",
        "select kind, count(distinct ticket_id) as tickets from ops_worst_v1 where $__timeFilter(received_at) group by kind "
        "order by tickets desc",
        description="What a replay could be about: `triage replay plan --reason KIND`.",
    ),
)

DASHBOARDS = {
    "operations": ("Operations", (*OPERATIONS, WRITE_BACK)),
    "quality": ("Quality", QUALITY),
    "engine": ("Engine", ENGINE),
    "replay": ("Replay", REPLAY),
}
