"""`anchorline planning`: what the states suggest, and the operational system's own plan."""

from __future__ import annotations

import json
from dataclasses import asdict

import click
from rich import box
from rich.table import Table
from rich.text import Text

from anchorline import console, hints
from anchorline.cli.options import target_option
from anchorline.connection import connect
from anchorline.planning import Planned, Planning, Publication, Suggestion

batch_option = click.option(
    "--batch",
    "batches",
    metavar="BATCH",
    multiple=True,
    help="Only of this batch, by number or id; may be repeated.",
)
template_option = click.option(
    "--template",
    "templates",
    metavar="TEMPLATE",
    multiple=True,
    help="Only from this template, by name or id; may be repeated.",
)


@click.group()
def planning() -> None:
    r"""See what is to be planned, and plan it.

    The templates of the operational system say what is to be done at a weight, in a stage or on a
    day; the states and the forecast say when that is. What is published becomes a planned
    activity of the operational system, once each, however often it is published.

    \b
    Examples:
      anchorline planning list
      anchorline planning publish --batch FAR-2024-03 --dry-run
      anchorline planning publish --batch FAR-2024-03 --created-by 7
    """


@planning.command("list")
@batch_option
@template_option
@click.option("--all", "everything", is_flag=True, help="Also what is planned, past or far ahead.")
@click.option("--json", "as_json", is_flag=True, help="Print them as JSON.")
@target_option
def list_(
    batches: tuple[str, ...],
    templates: tuple[str, ...],
    everything: bool,
    as_json: bool,
    target: str,
) -> None:
    r"""List the activities that need planning.

    Those are triggered or expected within 30 days of the newest state, of fish that are there, and
    not planned yet.

    \b
    Examples:
      anchorline planning list
      anchorline planning list --batch FAR-2024-03 --all
      anchorline planning list --template "Lice count from 1 kg" --json
    """
    with connect(target, autocommit=True) as connection:
        found = Planning(connection, target).listed(batches, templates, everything=everything)
    if as_json:
        click.echo(json.dumps([asdict(entry) for entry in found], default=str, indent=2))
    elif found:
        console.show(_table(found, with_coverage=everything))
    else:
        console.say(
            "There are no such suggestions." if everything else "Nothing needs to be planned."
        )


@planning.command()
@batch_option
@template_option
@click.option("--all", "everything", is_flag=True, help="All that needs planning.")
@click.option(
    "--created-by",
    metavar="ID",
    type=click.IntRange(min=1),
    envvar="ANCHORLINE_ACTIVITY_CREATOR",
    show_envvar=True,
    help="The user of the operational system who plans them.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be planned; plan nothing.")
@target_option
@click.pass_context
def publish(
    ctx: click.Context,
    batches: tuple[str, ...],
    templates: tuple[str, ...],
    everything: bool,
    created_by: int | None,
    dry_run: bool,
    target: str,
) -> None:
    r"""Plan activities that need planning, in the operational system.

    Each is planned once, and never again, even where it was cancelled since: a line in its notes,
    like [anchorline suggestion 12], tells. It is due on its day, or today where that is past. All
    are written together or not at all; those of batches without a scenario are named and left out
    (exit code 1).

    \b
    Examples:
      anchorline planning publish --all --dry-run
      anchorline planning publish --batch FAR-2024-03 --template "Lice count from 1 kg"
      ANCHORLINE_ACTIVITY_CREATOR=7 anchorline planning publish --all
    """
    if not (batches or templates or everything):
        raise click.UsageError("Say what is to be planned: --batch, --template or --all.")
    with connect(target, autocommit=True) as connection:
        done = Planning(connection, target).publish(
            batches, templates, created_by=created_by, dry_run=dry_run
        )
    _tell(done, dry_run=dry_run, target=target)
    if done.without_scenario:
        ctx.exit(1)


def _table(found: list[Suggestion], *, with_coverage: bool) -> Table:
    table = Table(box=box.SIMPLE)
    table.add_column("Due", no_wrap=True)
    table.add_column("Batch", overflow="fold")
    table.add_column("Id", justify="right", no_wrap=True)
    table.add_column("Template", overflow="fold")
    table.add_column("Type", no_wrap=True)
    table.add_column("Why", overflow="fold")
    if with_coverage:
        table.add_column("Planned", overflow="fold")
    for entry in found:
        cells = [
            str(entry.due_date),
            entry.batch_number,
            str(entry.activity_template_id),
            entry.template_name,
            entry.activity_type,
            entry.reason,
            *([_coverage(entry)] if with_coverage else []),
        ]
        table.add_row(*(Text(cell) for cell in cells))
    return table


def _coverage(entry: Suggestion) -> str:
    if entry.planned_activity_id is not None:
        return f"{entry.planned_activity_id} (by {entry.covered_by})"
    return "to be planned" if entry.needs_planning else ""


def _tell(done: Publication, *, dry_run: bool, target: str) -> None:
    for planned in done.planned:
        console.out.print(_sentence(planned, dry_run=dry_run), markup=False)
    for suggestion in done.published_before:
        console.note(f"{_name(suggestion)} has been planned before; the next refresh sees it.")
    for suggestion in done.without_scenario:
        console.note(
            f"{_name(suggestion)} was not planned: the batch has no scenario. Give it one in the "
            "operational system, and refresh."
        )
    if not (done.planned or done.published_before or done.without_scenario):
        console.say("Nothing needs to be planned.")
    elif done.planned and not dry_run:
        command = hints.for_target("anchorline refresh", target)
        console.say(f"The next refresh lists them as planned: `{command}`.")


def _sentence(planned: Planned, *, dry_run: bool) -> str:
    which = (
        "would be planned" if dry_run else f"is planned as activity {planned.planned_activity_id}"
    )
    return f"{_name(planned.suggestion)} {which}, due on {planned.due_date}."


def _name(suggestion: Suggestion) -> str:
    return (
        f"{suggestion.template_name} ({suggestion.activity_type}) of batch "
        f"{suggestion.batch_number}"
    )
