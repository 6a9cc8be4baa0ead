"""`anchorline demo`: a farm whose truth is known."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime
from typing import Final

import click
from rich import box
from rich.table import Table

from anchorline import console, hints, settings
from anchorline.cli import is_verbose
from anchorline.cli.options import target_option

BATCHES: Final = 8
SEED: Final = 1


@click.group()
def demo() -> None:
    r"""Load and build a demo farm, whose truth is known.

    \b
    Examples:
      anchorline demo run
      anchorline demo load --batches 145 --as-of 2026-01-31 --seed 1
    """


batches_option = click.option(
    "--batches", type=click.IntRange(0), help=f"How many batches.  [default: {BATCHES}]"
)
as_of_option = click.option(
    "--as-of",
    type=click.DateTime(["%Y-%m-%d"]),
    metavar="DATE",
    help="The last day with data, as YYYY-MM-DD.  [default: today]",
)
seed_option = click.option(
    "--seed", type=click.IntRange(0), help=f"Same seed, same farm.  [default: {SEED}]"
)
replace_option = click.option(
    "--replace", is_flag=True, help="Let it take the place of another demo farm."
)


@demo.command()
@batches_option
@as_of_option
@seed_option
@click.option(
    "--without-readings", is_flag=True, help="Leave out the sensors' readings: a small farm."
)
@replace_option
@click.option(
    "--raw-schema",
    metavar="NAME",
    help="Schema of the raw tables.  [default: the var raw_schema of dbt_project.yml]",
)
@target_option
def load(
    batches: int | None,
    as_of: datetime | None,
    seed: int | None,
    without_readings: bool,
    replace: bool,
    raw_schema: str | None,
    target: str,
) -> None:
    r"""Create the raw tables and fill them with a demo farm.

    All or nothing. Rows that are not those of a demo farm are never touched.

    \b
    Examples:
      anchorline demo load
      anchorline demo load --batches 145 --as-of 2026-01-31 --seed 3 --replace
      PGHOST=db PGDATABASE=scratch anchorline demo load --target dev
    """
    last_day = as_of.date() if as_of else _today()
    load_demo(
        target,
        batches=BATCHES if batches is None else batches,
        as_of=last_day,
        seed=SEED if seed is None else seed,
        readings=not without_readings,
        replace=replace,
        raw_schema=raw_schema,
    )
    build = hints.dbt_build(
        target, raw_schema=raw_schema, as_of_date=hints.last_day_if_past(last_day)
    )
    console.say(f"Next: `{build}`, then `{hints.for_target('anchorline summary', target)}`.")


@demo.command()
@batches_option
@as_of_option
@seed_option
@replace_option
def run(batches: int | None, as_of: datetime | None, seed: int | None, replace: bool) -> None:
    r"""Load a demo farm, build the marts, show them, write the growth page.

    Works on the embedded database, and starts it. A demo farm that is there already is kept;
    the marts are built and tested anew in each run, which takes most of its time. Options that
    ask for another farm need --replace. This is what `make demo` does.

    \b
    Examples:
      anchorline demo run
      anchorline demo run --batches 40 --replace
    """
    from anchorline import build
    from anchorline.cli.db import start_server
    from anchorline.cli.report import PAGE, tell
    from anchorline.cli.summary import print_summary
    from anchorline.connection import connect
    from anchorline.demo import loaded_farm
    from anchorline.report.write import write

    began = time.monotonic()
    target = settings.TARGETS[0]
    server = start_server()
    with connect(target) as connection:
        farm = loaded_farm(connection)
    last_day = as_of.date() if as_of else farm.as_of if farm else _today()
    load_demo(
        target,
        batches=farm.batches if farm and batches is None else batches or BATCHES,
        as_of=last_day,
        seed=farm.seed if farm and seed is None else SEED if seed is None else seed,
        readings=farm.readings if farm else True,
        replace=replace,
    )
    console.say("Building and testing the models (dbt build)")
    build.dbt_build(
        target,
        variables={"as_of_date": last_day.isoformat()},
        environment=server.environment(),
        verbose=is_verbose(),
    )
    with connect(target, autocommit=True) as connection:
        print_summary(connection, target)
    with connect(target) as connection:
        written = write(
            connection, settings.layer_schema("marts", target), PAGE, wanted=(), locale="en"
        )
    tell(written)
    if hints.last_day_if_past(last_day):
        command = hints.dbt_build(target, as_of_date=last_day)
        console.say(
            f"The farm ends on {last_day}, and so do these marts. Plain `dbt build` goes on to "
            f"today; the same build again is: {command}"
        )
    console.say(f"Done in {time.monotonic() - began:.0f} s.")


def load_demo(
    target: str,
    *,
    batches: int,
    as_of: date,
    seed: int,
    readings: bool = True,
    replace: bool = False,
    raw_schema: str | None = None,
) -> None:
    """Load a farm into the target's raw tables, with a progress bar and what was written."""
    from anchorline.connection import connect
    from anchorline.demo import load_farm
    from anchorline.raw.sources import project_variable

    began = time.monotonic()
    with connect(target) as connection, console.progress() as progress:
        task = progress.add_task("Loading the demo farm", total=None)

        def report(done: int, total: int, label: str) -> None:
            progress.update(task, completed=done, total=total, description=f"Demo farm: {label}")

        loaded = load_farm(
            connection,
            raw_schema=raw_schema or project_variable("raw_schema", "public"),
            batches=batches,
            as_of=as_of,
            seed=seed,
            readings=readings,
            progress=report,
            replace=replace,
            ops_schema=settings.layer_schema("ops", target),
        )
    farm = loaded.parameters.describe()
    if not loaded.is_new:
        console.say(f"The demo farm is there already: {farm}")
        return
    rows = sum(loaded.row_counts.values())
    console.say(f"Loaded a demo farm ({farm}): {rows:,} rows in {time.monotonic() - began:.0f} s")
    if is_verbose():
        table = Table(box=box.SIMPLE)
        table.add_column("Table")
        table.add_column("Rows", justify="right")
        for name, count in loaded.row_counts.items():
            table.add_row(name, f"{count:,}")
        console.err.print(table, soft_wrap=False)


def _today() -> date:
    return datetime.now(UTC).date()
