"""`triage doctor`: looks at all that the services need, before they need it."""

import importlib.util
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text
from sqlalchemy import text

from worker.cli import compose, desks, preflight
from worker.database import UNAVAILABLE, opened, reason, transaction
from worker.dispatch.publish import BROKER_DOWN
from worker.engine.preflight import Seen
from worker.engine.profiles import load_profile
from worker.errors import SettingsError
from worker.local import with_running_stack
from worker.settings import Settings, load_settings

FREE_GB = 2.0
SKEW_S = 2.0


def doctor(
    *,
    profile: Annotated[
        str | None,
        typer.Option(help="Look at this profile, its model and the card instead of the services."),
    ] = None,
    strict: Annotated[
        bool, typer.Option(help="Warnings are refusals: a quality gate must have been passed.")
    ] = False,
) -> None:
    """Look at settings, database, schema, broker, engine, disk and clock; or at a profile.

    Each line that is not well says what to do. Exit code 1: one is not.
    """
    console = Console(highlight=False, soft_wrap=True)
    is_well = True
    looks = preflight.look(load_settings(profile=profile), strict=strict) if profile else look()
    for one in looks:
        console.print(Text.assemble(mark(one), (f"{one.what}: ", "bold"), one.found))
        if one.fix:
            console.print(Text(f"    {one.fix}"))
        is_well = is_well and (one.fix is None or one.is_warning)
    if not is_well:
        raise typer.Exit(1)


def mark(seen: Seen) -> Text:
    if seen.fix is None:
        return Text("✓ ", "green")
    return Text("! ", "bold yellow") if seen.is_warning else Text("✗ ", "bold red")


def look() -> Iterator[Seen]:
    """Look at one thing after another; without settings there is nothing more to look at."""
    try:
        settings = load_settings()
    except SettingsError as error:
        yield Seen("settings", str(error), "correct the variable; docs/settings.md has them all")
        return
    yield Seen("settings", "make sense")
    for step in (database, broker, engine, taxonomy, helpdesks, disk):
        yield from guarded(step, settings)


def guarded(step: Callable[[Settings], Iterator[Seen]], settings: Settings) -> Iterator[Seen]:
    try:
        yield from step(settings)
    except SettingsError as error:
        yield Seen(step.__name__, str(error), "correct the setting; docs/settings.md has them all")


def database(settings: Settings) -> Iterator[Seen]:
    from worker.migrate import current_revision, is_outdated  # noqa: PLC0415  # Alembic is slow to import

    with opened(with_running_stack(settings).database_url, pool_size=1) as sessions:
        try:
            with transaction(sessions) as session:
                version, now = session.execute(
                    text("select current_setting('server_version'), clock_timestamp()")
                ).one()
            skew_s = abs((datetime.now(UTC) - now).total_seconds())
        except UNAVAILABLE as error:
            yield Seen("database", reason(error), "start Postgres, or correct TRIAGE_DATABASE_URL")
            return
        yield Seen("database", f"Postgres {version} answers")
        found = current_revision(sessions)
        yield Seen(
            "schema", found or "none", "run `triage migrate`" if is_outdated(found) else None
        )
    fix = "set both clocks by NTP" if skew_s > SKEW_S else None
    yield Seen("clock", f"{skew_s:.1f} s from Postgres's", fix)


def broker(settings: Settings) -> Iterator[Seen]:
    settings = with_running_stack(settings)
    with opened(settings.database_url, pool_size=1) as sessions:
        try:
            depths = compose.make_publisher(settings, sessions).depths()
        except BROKER_DOWN as error:
            yield Seen("broker", str(error), "start it, or correct TRIAGE_BROKER_URL")
            return
    yield Seen("broker", ", ".join(f"{name} {count:,}" for name, count in depths.items()))


def engine(settings: Settings) -> Iterator[Seen]:
    if settings.profile == desks.SCRIPTED:
        yield Seen("engine", "scripted: writes what a script says, no model")
        return
    profile = load_profile(settings.profile)
    if settings.servers:
        yield preflight.servers(settings)
        return
    has_vllm = importlib.util.find_spec("vllm") is not None
    fix = None if has_vllm else "install it: `make setup`; a machine without workers needs none"
    yield Seen("engine", f"profile {profile.name}, vLLM {'is' if has_vllm else 'not'} there", fix,
               is_warning=True)  # fmt: skip
    yield preflight.prompt(profile)


def taxonomy(settings: Settings) -> Iterator[Seen]:
    found = desks.read_taxonomy(settings)
    desks.read_thresholds(settings)
    yield Seen("taxonomy", f"version {found.version}, {len(found.values)} categories")


def helpdesks(settings: Settings) -> Iterator[Seen]:
    known = ", ".join(map(compose.source_of, settings.webhook_secrets))
    yield Seen("webhooks", known or "no secret is set; `triage up` makes its own")
    for name, given in desks.read_desks(settings).items():
        own = desks.settings_of(given, settings)
        with desks.of_desk(name):
            desks.read_thresholds(own)
            found = desks.read_taxonomy(own)
        yield Seen("desk", f"{name}: taxonomy {found.version}")
    for key, how in settings.helpdesks.items():
        compose.outlet_of(settings, compose.source_of(key))
        goes = "replies go back" if how.write_back else "can be reconciled"
        yield Seen("helpdesk", f"{compose.source_of(key)} at {how.url}: {goes}")


def disk(settings: Settings) -> Iterator[Seen]:
    folder = settings.data_dir
    while not folder.exists():
        folder = folder.parent
    free_gb = shutil.disk_usage(folder).free / 1e9
    fix = f"make room: less than {FREE_GB:g} GB" if free_gb < FREE_GB else None
    is_elsewhere = bool(settings.database_url)  # little is kept here
    yield Seen("disk", f"{free_gb:.1f} GB free for {settings.data_dir}", fix, is_elsewhere)
