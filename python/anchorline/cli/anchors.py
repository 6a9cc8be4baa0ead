"""`anchorline anchors`: what people state about weights."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from dataclasses import asdict
from datetime import date, datetime
from typing import Any, Final, TypeVar

import click
from psycopg import Connection
from rich import box
from rich.table import Table
from rich.text import Text

from anchorline import console, hints
from anchorline.anchors import Added, Anchors, Measurement, parse_weight
from anchorline.cli.options import target_option
from anchorline.connection import acting_user, connect
from anchorline.explain.reader import ANCHOR_NAMES

Command = TypeVar("Command", bound=Callable[..., Any])

LARGEST_ID: Final = 2**63 - 1
FAR_OFF_PERCENT: Final = 30.0
"""A stated weight this far from the state is worth a second look: samples rarely are."""

record_id = click.IntRange(0, LARGEST_ID)


def statement_options(command: Command) -> Command:
    """Add ``--reason`` and ``--by``: every statement says why, and whose it is."""
    command = click.option(
        "--by",
        metavar="NAME",
        help="Who states it.  [default: the user of the database; of the machine, where the "
        "database is the embedded one]",
    )(command)
    return click.option("--reason", required=True, metavar="TEXT", help="Why.")(command)


@click.group()
def anchors() -> None:
    r"""State weights, and exclude bad samples, with who and why.

    An anchor is a measured mean weight, to which the state of its day is reset. `add` states
    one that stands in no table of the operational system; `exclude` says that a measurement
    must not be used. The next refresh computes with both. Nothing is ever deleted: `remove`
    and `include` take a statement back, with who and why.

    \b
    Examples:
      anchorline anchors list --batch FAR-2024-03
      anchorline anchors add FAR-2024-03 "Tank A1" 2026-01-15 1250 --reason "lice count"
      anchorline anchors exclude growth_sample 4711 --reason "scale was off by a kilogram"
      anchorline anchors include growth_sample 4711 --reason "it was the other scale"
      anchorline anchors remove 3 --reason "typing error" --by Anna
    """


@anchors.command()
@click.argument("batch")
@click.argument("container")
@click.argument("day", metavar="DATE", type=click.DateTime(["%Y-%m-%d"]))
@click.argument("weight", metavar="WEIGHT_G")
@statement_options
@target_option
def add(
    batch: str,
    container: str,
    day: datetime,
    weight: str,
    reason: str,
    by: str | None,
    target: str,
) -> None:
    r"""State that the fish of BATCH in CONTAINER weighed WEIGHT_G on DATE.

    BATCH is a batch number, CONTAINER a container's name, each also its id (id:12 is always the
    id). WEIGHT_G is the mean weight in g. The batch must have been there that day; the day on
    which it leaves counts.

    \b
    Examples:
      anchorline anchors add FAR-2024-03 "Tank A1" 2026-01-15 1250 --reason "lice count"
      anchorline anchors add id:12 id:340 2026-01-15 1250.5 --reason camera --by Anna
    """
    weight_g = parse_weight(weight)
    with connect(target, autocommit=True) as connection:
        added = Anchors(connection, target).add(
            batch,
            container,
            day.date(),
            weight_g,
            reason=reason,
            by=_by(connection, target, by),
        )
    console.out.print(
        f"Manual anchor {added.manual_anchor_id}: batch {added.batch.name} in "
        f"{added.stay.container_name} (assignment {added.stay.assignment_id}) weighed "
        f"{added.weight_g:f} g on {added.anchor_date}{_against_state(added)}.",
        markup=False,
    )
    if added.is_departure_day:
        console.note("the batch left on that day: the weight is that of the fish that left.")
    if added.last_state_date is not None and added.anchor_date > added.last_state_date:
        console.note(
            f"the marts end on {added.last_state_date}: it counts once they reach the day."
        )
    difference = added.difference_percent
    if difference is not None and abs(difference) > FAR_OFF_PERCENT:
        console.note(
            "that is far off. If it is a typing error: `"
            + hints.for_target(
                f"anchorline anchors remove {added.manual_anchor_id} --reason ...", target
            )
            + "`."
        )
    _tell_next_step(added.batch.name, target)


@anchors.command()
@click.argument("anchor_type", metavar="TYPE")
@click.argument("record", metavar="RECORD_ID", type=record_id)
@statement_options
@target_option
def exclude(anchor_type: str, record: int, reason: str, by: str | None, target: str) -> None:
    r"""State that a measurement must not be used.

    TYPE is the kind (growth_sample, transfer, vaccination, manual or health_sampling) and
    RECORD_ID the key of the measurement in its own table, as `anchorline anchors list` shows
    them. The measurement stays visible, as excluded. A manual anchor that is simply wrong is
    better taken back, with `anchorline anchors remove`.

    \b
    Examples:
      anchorline anchors exclude growth_sample 4711 --reason "scale was off by a kilogram"
      anchorline anchors exclude transfer 88 --reason "only the smallest were weighed" --by Anna
    """
    with connect(target, autocommit=True) as connection:
        excluded = Anchors(connection, target).exclude(
            anchor_type, record, reason=reason, by=_by(connection, target, by)
        )
    _say("will not be used", excluded)
    if excluded.status and excluded.status.startswith("rejected"):
        console.note(f"it is not used as it is: {excluded.status}.")
    _tell_next_step(excluded.batch_number, target)


@anchors.command()
@click.argument("manual_anchor", metavar="ID", type=record_id)
@statement_options
@target_option
def remove(manual_anchor: int, reason: str, by: str | None, target: str) -> None:
    r"""Take a manual anchor back.

    ID is the manual anchor's, as `anchorline anchors add` printed it. It stays in the table,
    with who took it back and why; `anchorline anchors list --removed` shows it.

    \b
    Examples:
      anchorline anchors remove 3 --reason "typing error"
    """
    with connect(target, autocommit=True) as connection:
        removed = Anchors(connection, target).remove(
            manual_anchor, reason=reason, by=_by(connection, target, by)
        )
    _say("is taken back", removed)
    _tell_next_step(removed.batch_number, target)


@anchors.command()
@click.argument("anchor_type", metavar="TYPE")
@click.argument("record", metavar="RECORD_ID", type=record_id)
@statement_options
@target_option
def include(anchor_type: str, record: int, reason: str, by: str | None, target: str) -> None:
    r"""Take an exclusion back: the measurement counts again.

    TYPE and RECORD_ID are those that were excluded. The exclusion stays in its table, with who
    took it back and why; `anchorline anchors list --removed` shows it.

    \b
    Examples:
      anchorline anchors include growth_sample 4711 --reason "it was the other scale"
    """
    with connect(target, autocommit=True) as connection:
        included = Anchors(connection, target).include(
            anchor_type, record, reason=reason, by=_by(connection, target, by)
        )
    _say("counts again", included)
    _tell_next_step(included.batch_number, target)


@anchors.command("list")
@click.option("--batch", metavar="BATCH", help="Only this batch, by number or id, and all of it.")
@click.option("--stated", is_flag=True, help="Only what people have stated.")
@click.option("--removed", is_flag=True, help="Also what was taken back.")
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    help="Show so many rows, 0 for all.  [default: 40, all of a batch and in JSON]",
)
@click.option("--json", "as_json", is_flag=True, help="Print them as JSON.")
@target_option
def list_(
    batch: str | None,
    stated: bool,
    removed: bool,
    limit: int | None,
    as_json: bool,
    target: str,
) -> None:
    r"""List the measurements, what became of them, and what people have stated.

    Newest first. Residual is the measurement against what the model expected, in percent. What
    was stated since the last refresh says what the next one will do.

    \b
    Examples:
      anchorline anchors list --batch FAR-2024-03
      anchorline anchors list --stated --removed
      anchorline anchors list --json --limit 0 > anchors.json
    """
    with connect(target, autocommit=True) as connection:
        known = Anchors(connection, target)
        found = known.listed(batch_id=known.find_batch(batch).id if batch is not None else None)
    found = [
        entry
        for entry in found
        if (entry.is_stated or (removed and entry.taken_back))
        or (not stated and entry.status is not None)
    ]
    if limit is None:
        limit = 0 if batch is not None or as_json else 40
    shown = found[:limit] if limit else found
    if as_json:
        click.echo(json.dumps([asdict(entry) for entry in shown], default=_iso, indent=2))
        return
    if not found:
        console.say("There are no such measurements.")
        return
    console.show(_table(shown, with_removed=removed, with_batch=batch is None))
    if len(shown) < len(found):
        console.note(f"{len(found) - len(shown):,} older ones are left out; --limit 0 shows all.")


def _table(found: list[Measurement], *, with_removed: bool, with_batch: bool) -> Table:
    table = Table(box=box.SIMPLE)
    table.add_column("Type", no_wrap=True)
    table.add_column("Id", justify="right", no_wrap=True)
    if with_batch:
        table.add_column("Batch", overflow="fold")
    table.add_column("Container", overflow="fold")
    table.add_column("Date", no_wrap=True)
    table.add_column("Weight g", justify="right", no_wrap=True)
    table.add_column("Residual", justify="right", no_wrap=True)
    table.add_column("Status", overflow="fold")
    table.add_column("Who and why", overflow="fold")
    for entry in found:
        cells = [
            entry.anchor_type,
            str(entry.record_id),
            *([entry.batch_number or ""] if with_batch else []),
            entry.container_name or "",
            str(entry.anchor_date or ""),
            "" if entry.weight_g is None else f"{entry.weight_g:,.1f}",
            "" if entry.residual_percent is None else f"{entry.residual_percent:+.1f} %",
        ]
        table.add_row(
            *(Text(cell) for cell in cells),
            _status(entry),
            Text("\n".join(_who_and_why(entry, with_removed=with_removed))),
        )
    return table


def _status(entry: Measurement) -> Text:
    text = Text(entry.status or "not computed yet")
    if entry.change:
        text.append(f"\n{entry.change} with the next refresh", "yellow")
    return text


def _who_and_why(entry: Measurement, *, with_removed: bool) -> list[str]:
    lines = [
        f"{statement.by}: {statement.reason}"
        for statement in (entry.stated, entry.exclusion)
        if statement
    ]
    if entry.taken_back and (with_removed or entry.change):
        lines.append(f"taken back by {entry.taken_back.by}: {entry.taken_back.reason}")
    return lines


def _against_state(added: Added) -> str:
    difference = added.difference_percent
    if difference is None:
        return ""
    side = "above" if difference >= 0 else "below"
    return f", {abs(difference):.1f} % {side} the {added.state_weight_g:,.1f} g of the state"


def _say(what: str, entry: Measurement) -> None:
    name = ANCHOR_NAMES.get(entry.anchor_type, entry.anchor_type)
    about = ", ".join(
        [
            *([f"batch {entry.batch_number}"] if entry.batch_number else []),
            *([f"in {entry.container_name}"] if entry.container_name else []),
            *([str(entry.anchor_date)] if entry.anchor_date else []),
            *([f"{entry.weight_g:,.1f} g"] if entry.weight_g is not None else []),
        ]
    )
    console.out.print(
        f"{name.capitalize()} {entry.record_id}{f' ({about})' if about else ''} {what}.",
        markup=False,
    )


def _tell_next_step(batch: str | None, target: str) -> None:
    command = "anchorline refresh" + (f" --batch {shlex.quote(batch)}" if batch else "")
    console.say(f"The next refresh computes with it: `{hints.for_target(command, target)}`.")


def _by(connection: Connection, target: str, named: str | None) -> str:
    """Return who states something: the name given, else the user who is logged in."""
    return acting_user(connection, target) if named is None else named


def _iso(value: Any) -> str:
    if isinstance(value, date | datetime):
        return value.isoformat()
    raise TypeError(f"{value!r} has no form in JSON.")
