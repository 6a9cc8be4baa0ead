"""`anchorline events`: the triggers that queue what has changed."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import click
import psycopg
from psycopg import sql
from rich import box
from rich.table import Table
from rich.text import Text

from anchorline import console, hints
from anchorline.cli.doctor import duration
from anchorline.cli.options import Command, target_option
from anchorline.connection import connect
from anchorline.errors import AnchorlineError
from anchorline.events import install as installation
from anchorline.events import queue
from anchorline.events.install import Installed, Place
from anchorline.events.watched import UNWATCHED

Connection = psycopg.Connection[Any]

STYLES = {
    "installed": "green",
    "absent": "cyan",
    "unsupported": "yellow",
    "missing": "bold red",
    "outdated": "bold red",
    "disabled": "bold red",
}


@click.group()
def events() -> None:
    r"""Watch the raw tables: triggers that queue what has changed.

    Every write that the models could read appends to a queue which batches it concerns, from
    which day on, and why. Writers never wait for that, and never fail because of it.

    \b
    Examples:
      anchorline events install
      anchorline events status --json | jq .queue
      anchorline events remove
    """


def place_options(command: Command) -> Command:
    """Add the options that say which tables are watched."""
    for option in (
        target_option,
        click.option(
            "--timezone",
            metavar="NAME",
            help="Time zone whose days count.  [default: the var timezone of dbt_project.yml]",
        ),
        click.option(
            "--raw-schema",
            metavar="NAME",
            help="Schema of the raw tables.  [default: the var raw_schema of dbt_project.yml]",
        ),
    ):
        command = option(command)
    return command


wait_option = click.option(
    "--wait",
    type=click.FloatRange(0),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to try again while a table is in use.",
)


@events.command()
@click.option(
    "--notify",
    is_flag=True,
    help="Also notify listeners. Transactions that notify commit one after the other.",
)
@wait_option
@place_options
def install(
    notify: bool, wait: float, raw_schema: str | None, timezone: str | None, target: str
) -> None:
    r"""Install the triggers, or bring them up to date.

    Run it as the owner of the raw tables. All or nothing, and safe to repeat: what is up to date
    is left alone. A table in use is tried again for some seconds; meanwhile nobody waits for
    longer than a moment.

    \b
    Examples:
      anchorline events install
      PGUSER=aquamind PGDATABASE=farm anchorline events install --target prod
      anchorline events install --raw-schema raw --timezone Atlantic/Faroe
    """
    place = installation.project_place(target, raw_schema, timezone)
    with connect(target, autocommit=True) as conn:
        changed = installation.install(conn, place, notify=notify, wait_seconds=wait)
        found = installation.examine(conn, place)
    watched = sum(table.state == "installed" for table in found.tables)
    if changed:
        console.say(f"Installed triggers on {len(changed)} tables; {watched} are watched now.")
    else:
        console.say(f"Nothing to do: {watched} tables are watched, and all triggers are current.")
    for table in found.tables:
        if table.state in ("absent", "unsupported") and not table.is_optional:
            console.note(f"{table.schema}.{table.table} is not watched: {table.detail}.")
    if changed:
        build = hints.for_target("dbt build", target)
        console.say(f"What was written before this is not in the queue: `{build}` finds it.")


@events.command()
@click.option("--purge", is_flag=True, help="Drop the queue as well, with what is in it.")
@wait_option
@place_options
def remove(
    purge: bool, wait: float, raw_schema: str | None, timezone: str | None, target: str
) -> None:
    r"""Remove all triggers and their functions.

    The queue is kept, so that what is in it can still be refreshed.

    \b
    Examples:
      anchorline events remove
      anchorline events remove --purge
    """
    place = installation.project_place(target, raw_schema, timezone)
    with connect(target, autocommit=True) as conn:
        tables = installation.remove(conn, place, purge=purge, wait_seconds=wait)
    if tables:
        console.say(f"Removed the triggers of {len(tables)} tables.")
    else:
        console.say("There were no triggers.")
    if purge:
        console.say("Dropped the queue.")


@events.command()
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@place_options
@click.pass_context
def status(
    ctx: click.Context, as_json: bool, raw_schema: str | None, timezone: str | None, target: str
) -> None:
    r"""Show which tables are watched, what is queued and what has failed.

    Exits with 1 where a table that should be watched is not, or where a batch is set aside.

    \b
    Examples:
      anchorline events status
      anchorline events status --json | jq '.tables[] | select(.state != "installed")'
    """
    place = installation.project_place(target, raw_schema, timezone)
    with connect(target, autocommit=True) as conn:
        found = installation.examine(conn, place)
        size = queue.queue_size(conn, place.ops_schema) if found.has_queue else None
        failures = queue.read_failures(conn, place.ops_schema) if found.has_queue else []
        row = conn.execute("select clock_timestamp()").fetchone()
    now = row[0] if row else datetime.now(UTC)
    if as_json:
        report = {
            "is_complete": found.is_complete,
            "notifies": found.notify,
            "tables": [asdict(table) for table in found.tables],
            "obsolete": found.obsolete,
            "unwatched": UNWATCHED,
            "queue": asdict(size) if size else None,
            "failures": [asdict(failure) for failure in failures],
        }
        click.echo(json.dumps(report, indent=2, default=_json_value))
    else:
        _print(found, size, failures, now, target)
    if not found.is_complete or any(failure.set_aside_at for failure in failures):
        ctx.exit(1)


@events.command()
@click.argument("batches", nargs=-1, metavar="[BATCH]...")
@click.option("--scan", is_flag=True, help="The scan that has failed.")
@click.option("--all", "everything", is_flag=True, help="All that has failed.")
@place_options
def retry(
    batches: tuple[str, ...],
    scan: bool,
    everything: bool,
    raw_schema: str | None,
    timezone: str | None,
    target: str,
) -> None:
    r"""Queue again what was set aside, or waits for its next attempt.

    BATCH is a batch number or id; `id:12` is always an id.

    \b
    Examples:
      anchorline events retry FAR-2024-005
      anchorline events retry --all
    """
    if not (batches or scan or everything):
        raise click.UsageError("Name a BATCH, or use --scan or --all.")
    place = installation.project_place(target, raw_schema, timezone)
    with connect(target, autocommit=True) as conn:
        if not installation.examine(conn, place).has_queue:
            raise _no_queue(place, target)
        with conn.transaction():
            failures = queue.read_failures(conn, place.ops_schema)
            wanted: list[int | None] = [_batch_id(conn, place, text) for text in batches]
            wanted += [None] if scan else []
            wanted += [failure.batch_id for failure in failures] if everything else []
            for batch_id in dict.fromkeys(wanted):
                queue.retry(conn, place.ops_schema, batch_id)
    count = len(dict.fromkeys(wanted))
    console.say("Nothing has failed." if not count else f"Queued again: {_things(count, 'entry')}.")


def _no_queue(place: Place, target: str) -> AnchorlineError:
    command = hints.for_target("anchorline events install", target)
    return AnchorlineError(
        f"There is no queue in the schema {place.ops_schema}. `{command}` makes it."
    )


def _batch_id(conn: Connection, place: Place, text: str) -> int:
    """Find a batch by number or id, as `anchorline explain` does."""
    digits = text.removeprefix("id:").strip()
    number = int(digits) if digits.isascii() and digits.isdecimal() else None
    name = None if text.startswith("id:") else text
    rows = conn.execute(
        sql.SQL(
            "select id from {} where batch_number = %s or id = %s order by batch_number = %s desc"
        ).format(sql.Identifier(place.raw_schema, "batch_batch")),
        (name, number, name),
    ).fetchall()
    if len(rows) == 1:
        return int(rows[0][0])
    if rows:
        raise AnchorlineError(
            f"{text!r} is the number of one batch and the id of another. Name it by its id: "
            + " or ".join(f"id:{row[0]}" for row in rows)
            + "."
        )
    if number is not None:
        return number  # a batch that was deleted can have failed as well
    raise AnchorlineError(
        f"There is no batch {text!r}. `anchorline events status` lists those that have failed."
    )


def _print(
    found: Installed,
    size: queue.QueueSize | None,
    failures: list[queue.EventFailure],
    now: datetime,
    target: str,
) -> None:
    table = Table(title="Watched tables", title_justify="left", box=box.SIMPLE)
    table.add_column("Table", no_wrap=True)
    table.add_column("Triggers", no_wrap=True)
    table.add_column("", overflow="fold")
    for entry in found.tables:
        state = Text(entry.state, STYLES[entry.state])
        optional = " (optional)" if entry.state == "absent" and entry.is_optional else ""
        table.add_row(entry.table, state, entry.detail + optional)
    for name, reason in UNWATCHED.items():
        table.add_row(name, Text("none", "cyan"), reason)
    console.show(table)
    for name in found.obsolete:
        console.paragraph(f"Obsolete: the function {name}, with its triggers.")
    if size is None:
        console.paragraph("Queue: not there.")
    elif size.oldest_at is None:
        console.paragraph("Queue: empty.")
    else:
        scan = ", and a scan" if size.needs_scan else ""
        console.paragraph(
            f"Queue: {_things(size.event_count, 'entry')} of "
            f"{_things(size.batch_count, 'batch')}{scan}, the oldest for "
            f"{_age(now - size.oldest_at)}."
        )
    if failures:
        console.show(_failure_table(failures, now))
    if not found.is_complete:
        command = hints.for_target("anchorline events install", target)
        console.out.print(f"Not complete: run `{command}`.", style="bold red", markup=False)


def _failure_table(failures: list[queue.EventFailure], now: datetime) -> Table:
    table = Table(title="Refreshes that have failed", title_justify="left", box=box.SIMPLE)
    table.add_column("Batch id", justify="right", no_wrap=True)
    table.add_column("Attempts", justify="right", no_wrap=True)
    table.add_column("Next", no_wrap=True)
    table.add_column("Last error", overflow="fold")
    for failure in failures:
        if failure.next_attempt_at is None:
            following = Text("set aside", "bold red")
        elif failure.next_attempt_at <= now:
            following = Text("now")
        else:
            following = Text(f"in {_age(failure.next_attempt_at - now)}")
        batch = "scan" if failure.batch_id is None else str(failure.batch_id)
        table.add_row(batch, str(failure.attempt_count), following, failure.last_error)
    return table


def _age(time: timedelta) -> str:
    seconds = max(time.total_seconds(), 0)
    return f"{seconds:.0f} seconds" if seconds < 90 else duration(seconds)


def _things(count: int, noun: str) -> str:
    plural = {"entry": "entries", "batch": "batches"}[noun]
    return f"{count:,} {noun if count == 1 else plural}"


def _json_value(value: object) -> str:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
