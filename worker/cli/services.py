"""The long-running commands: gateway, worker, sweep, all of them together, and migrations."""

from typing import Annotated

import typer
from rich.console import Console

from worker import logs, metrics, tracing
from worker.cli import compose, desks, process
from worker.database import opened
from worker.dispatch.celery_app import make_app
from worker.dispatch.publish import Announcer, Publisher
from worker.dispatch.serve import AHEAD, Service
from worker.dispatch.tasks import register
from worker.local import Stack, with_running_stack
from worker.settings import load_settings

GATEWAY_THREADS = 16
KEPT_ALIVE_S = 620
"""Longer than proxies keep idle connections (nginx 60 s, Google's load balancers 600 s): who closes
first must be the one that sends, or a webhook meets a closing connection."""

StopOnEof = Annotated[
    bool, typer.Option(help="Stop when standard input ends, together with a supervisor.")
]


def gateway(stop_on_eof: StopOnEof = False) -> None:
    """Accept webhooks over HTTP."""
    import uvicorn  # noqa: PLC0415  # a quarter of a second that no other command should wait

    from worker.gateway import corrections  # noqa: PLC0415
    from worker.gateway.app import create_app  # noqa: PLC0415
    from worker.gateway.webhooks import Intake  # noqa: PLC0415
    from worker.ops import metrics as ops_metrics  # noqa: PLC0415
    from worker.ops import pages  # noqa: PLC0415
    from worker.ops.access import Access  # noqa: PLC0415

    settings = load_settings()
    logs.configure(settings.log_level)
    if stop_on_eof:
        process.stop_on_eof()
    tracing.configure(settings.otlp_endpoint, service="triage-gateway")
    sessions = compose.open_database(settings, pool_size=GATEWAY_THREADS)
    announcer = Announcer(compose.make_publisher(settings, sessions))
    intake = Intake(settings, sessions, announcer)
    taxonomies = desks.read_taxonomies(settings)
    access = Access.for_host(
        settings.gateway_host, password=settings.ops_password, token=settings.api_token
    )
    app = create_app(
        intake,
        sessions,
        corrections.router(sessions, taxonomies, settings.api_token),
        pages.router(sessions, taxonomies, access),
        ops_metrics.router(sessions, access),
        max_body_bytes=settings.max_body_bytes,
        threads=GATEWAY_THREADS,
    )
    uvicorn.run(
        app,
        host=settings.gateway_host,
        port=settings.gateway_port,
        log_config=None,
        access_log=False,
        timeout_keep_alive=KEPT_ALIVE_S,
    )


def worker(
    queues: Annotated[str | None, typer.Option(help="Queues to serve; TRIAGE_QUEUES.")] = None,
    stop_on_eof: StopOnEof = False,
) -> None:
    """Start the engine, then triage tickets."""
    settings = load_settings(**({"queues": queues} if queues else {}))
    logs.configure(settings.log_level)
    if stop_on_eof:
        process.stop_on_eof()
    tracing.configure(settings.otlp_endpoint, service="triage-worker")
    metrics.serve(settings.metrics_host, settings.metrics_port)
    desk = desks.make_desk(settings)
    app = make_app(settings)
    sessions = compose.open_database(settings, pool_size=settings.in_flight + AHEAD)
    compose.require_schema(sessions)
    settings.ready_file.unlink(missing_ok=True)  # that of one that was killed
    engine = compose.start_engine(settings, desk)
    try:
        run = compose.make_runtime(settings, engine, sessions, Publisher(app, sessions), desk)
        register(app, run)
        code = Service(app, run, engine, compose.make_plan(settings)).serve()
    finally:
        engine.stop()
    raise typer.Exit(code)


def sweep(
    once: Annotated[
        bool,
        typer.Option(
            help="Sweep once, then exit. It takes back at once what was not renewed, also where "
            "Postgres was just away."
        ),
    ] = False,
    stop_on_eof: StopOnEof = False,
) -> None:
    """Nudge forgotten tickets, every TRIAGE_SWEEP_INTERVAL_S seconds."""
    settings = with_running_stack(load_settings())
    logs.configure(settings.log_level)
    if stop_on_eof:
        process.stop_on_eof()
    with opened(settings.database_url, pool_size=2) as sessions:
        compose.require_schema(sessions)
        sweeping = compose.make_sweep(settings, sessions)
        if once:
            sweeping.once()
            return
        stopped = process.shown_alive(process.until_signalled(), settings.alive_file)
        sweeping.until(stopped, interval_s=settings.sweep_interval_s)


def migrate() -> None:
    """Bring the database's schema up to date."""
    from worker.migrate import upgrade_at  # noqa: PLC0415  # Alembic is slow to import

    settings = load_settings()
    logs.configure(settings.log_level)
    upgrade_at(with_running_stack(settings).database_url)


def up() -> None:
    """Start everything here, Postgres and broker included, and keep it running."""
    settings = load_settings()
    logs.configure("WARNING")
    console = Console(stderr=True)
    process.interrupt_on_signals()
    stack = Stack(settings, port=settings.gateway_port)
    try:
        with console.status("Starting: Postgres, broker, gateway, worker …"):
            stack.start()
            stack.wait_ready()
        stopped = process.until_signalled()
        password = "yours" if settings.ops_password else stack.ops_password
        console.print(
            f"[green]Ready.[/] Webhooks: {stack.gateway_url}/webhooks/{{zendesk,zammad,…}}\n"
            f"Operators:       {stack.gateway_url}/ops (any name; password: {password})\n"
            f"Signing secrets: {stack.data / 'webhook_secrets.json'}\n"
            f"Database:        {stack.database_url}\n"
            f"Logs:            {stack.data / 'logs'}\n"
            "In another terminal: triage enqueue FILE.jsonl, triage ticket list. "
            "Stop with Ctrl-C.",
            highlight=False,
            soft_wrap=True,
        )
        while not stopped(0.5):
            stack.watch()
        console.print("Stopping …")
    finally:
        stack.stop()
