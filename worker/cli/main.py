"""`triage`: the command line.

Exit codes: 0 done, 1 failed (one line on stderr says what to do), 2 wrong usage,
130 interrupted; a command that says more by its exit code documents it.
"""

import sys

import typer
from sqlalchemy.exc import DataError

from worker.cli import (
    by_hand,
    demo,
    doctor,
    enqueue,
    export,
    plan,
    profile,
    quality,
    reconcile,
    replay,
    replay_plan,
    replay_promote,
    replay_results,
    retention,
    services,
    status,
    taxonomy,
    tickets,
    writeback,
)
from worker.database import UNAVAILABLE, reason
from worker.errors import TriageError

app = typer.Typer(
    name="triage",
    help="Self-hosted, multilingual ticket triage.\n\n"
    "Exit codes: 0 done, 1 failed (stderr says what to do), 2 wrong usage, 130 interrupted.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command("up")(services.up)
app.command("demo")(demo.demo)
app.command("gateway")(services.gateway)
app.command("worker")(services.worker)
app.command("sweep")(services.sweep)
app.command("migrate")(services.migrate)
app.command("status")(status.status)
app.command("doctor")(doctor.doctor)
app.command("plan")(plan.plan)
app.command("enqueue")(enqueue.enqueue)
app.command("reconcile")(reconcile.reconcile)
app.command("correct")(by_hand.correct)
app.command("export")(export.export)
app.command("purge")(retention.purge)
app.command("erase")(retention.erase)
replay.app.command("plan")(replay_plan.plan)
replay.app.command("run")(replay.run)
replay.app.command("resume")(replay.resume)
replay.app.command("cancel")(replay.cancel)
replay.app.command("list")(replay_results.list_)
replay.app.command("show")(replay_results.show)
replay.app.command("compare")(replay_results.compare)
replay.app.command("promote")(replay_promote.promote)
replay.app.command("undo")(replay_promote.undo)
app.add_typer(by_hand.dead, name="dead", help="Tickets whose tries failed.")
app.add_typer(writeback.app, name="writeback", help="Replies on their way back to helpdesks.")
app.add_typer(replay.app, name="replay", help="Run tickets again, compare, promote.")
app.add_typer(profile.app, name="profile", help="Which models run how.")
app.add_typer(taxonomy.app, name="taxonomy", help="Check the categories.")
app.add_typer(quality.app, name="quality", help="Measure a model, fit thresholds, compare builds.")
app.add_typer(tickets.app, name="ticket", help="Look at tickets.")


def main() -> None:
    """Run a command; what can be expected to fail is one clear message, not a traceback."""
    try:
        app()
    except TriageError as error:
        sys.stderr.write(f"triage: {error}\n")
        sys.exit(1)
    except DataError as error:
        sys.stderr.write(f"triage: Postgres has no room for such a value: {reason(error)}\n")
        sys.exit(1)
    except UNAVAILABLE as error:
        sys.stderr.write(f"triage: Postgres is unavailable: {reason(error)}\n")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
