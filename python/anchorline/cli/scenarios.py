"""`anchorline scenarios`: the plans of the batches, and which of them counts."""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict

import click
from rich import box
from rich.table import Table
from rich.text import Text

from anchorline import console, hints
from anchorline.cli.options import target_option
from anchorline.connection import connect
from anchorline.scenarios import Change, Scenario, Scenarios

dry_run_option = click.option("--dry-run", is_flag=True, help="Say what would be done; do nothing.")


@click.group()
def scenarios() -> None:
    r"""Pin a batch to one of its scenarios.

    A batch is grown by the scenario that it is pinned to, else by its first one. A pin is written
    into the operational system's own table of batches; the next refresh follows it.

    \b
    Examples:
      anchorline scenarios list --batch FAR-2024-03
      anchorline scenarios pin FAR-2024-03 "Revised after delivery" --dry-run
      anchorline scenarios pin FAR-2024-03 12
      anchorline scenarios unpin FAR-2024-03
    """


@scenarios.command("list")
@click.option("--batch", metavar="BATCH", help="Only those of this batch, by number or id.")
@click.option("--json", "as_json", is_flag=True, help="Print them as JSON.")
@target_option
def list_(batch: str | None, as_json: bool, target: str) -> None:
    r"""List the scenarios of the batches, and which are pinned.

    \b
    Examples:
      anchorline scenarios list
      anchorline scenarios list --batch FAR-2024-03 --json
    """
    with connect(target, autocommit=True) as connection:
        found = Scenarios(connection, target).listed(batch)
    if as_json:
        click.echo(json.dumps([asdict(entry) for entry in found], default=str, indent=2))
    elif found:
        console.show(_table(found))
    else:
        console.say("There are no such scenarios.")


@scenarios.command()
@click.argument("batch")
@click.argument("scenario")
@dry_run_option
@target_option
def pin(batch: str, scenario: str, dry_run: bool, target: str) -> None:
    r"""Let BATCH follow SCENARIO.

    BATCH is a batch number, SCENARIO the name of one of its scenarios, each also its id (id:12 is
    always the id). Where the operational system pins projection runs, the scenario's newest one
    is pinned.

    \b
    Examples:
      anchorline scenarios pin FAR-2024-03 "Revised after delivery"
      anchorline scenarios pin FAR-2024-03 id:12 --dry-run
    """
    with connect(target, autocommit=True) as connection:
        change = Scenarios(connection, target).pin(batch, scenario, dry_run=dry_run)
    _tell(change, dry_run=dry_run, target=target)


@scenarios.command()
@click.argument("batch")
@dry_run_option
@target_option
def unpin(batch: str, dry_run: bool, target: str) -> None:
    r"""Let BATCH follow no pin: its first scenario counts, else the baseline.

    \b
    Examples:
      anchorline scenarios unpin FAR-2024-03
    """
    with connect(target, autocommit=True) as connection:
        change = Scenarios(connection, target).unpin(batch, dry_run=dry_run)
    _tell(change, dry_run=dry_run, target=target)


def _table(found: list[Scenario]) -> Table:
    table = Table(box=box.SIMPLE)
    table.add_column("Batch", overflow="fold")
    table.add_column("Id", justify="right", no_wrap=True)
    table.add_column("Scenario", overflow="fold")
    table.add_column("Start", no_wrap=True)
    table.add_column("Projection runs", overflow="fold")
    table.add_column("Pinned", no_wrap=True)
    for entry in found:
        cells = [
            entry.batch_number or "",
            str(entry.scenario_id),
            entry.scenario_name,
            str(entry.start_date or ""),
            ", ".join(map(str, entry.projection_run_ids)),
            "pinned" if entry.is_pinned else "",
        ]
        table.add_row(*(Text(cell) for cell in cells))
    return table


def _tell(change: Change, *, dry_run: bool, target: str) -> None:
    number = change.batch.batch_number
    what = "pinned to nothing"
    if change.scenario:
        what = f"pinned to scenario {change.scenario.scenario_id} ({change.scenario.scenario_name})"
        if change.projection_run_id is not None:
            what += f", by its projection run {change.projection_run_id}"
    if not change.is_new:
        console.out.print(f"Batch {number} is {what} already.", markup=False)
        return
    verb = "would be" if dry_run else "is now"
    console.out.print(f"Batch {number} {verb} {what}.", markup=False)
    if not dry_run:
        command = hints.for_target(f"anchorline refresh --batch {shlex.quote(number)}", target)
        console.say(f"The next refresh follows it: `{command}`.")
