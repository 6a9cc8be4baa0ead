"""`anchorline summary`: what the marts hold now, for a person."""

from __future__ import annotations

from typing import Final

import click
from psycopg import Connection
from rich import box
from rich.table import Table

from anchorline import console, hints, marts, settings
from anchorline.cli.options import target_option
from anchorline.connection import connect

MOST_BATCHES: Final = 20
NARROWEST_GRAIN: Final = 24
"""Columns below which the description of a mart is left out."""

SCALE: Final = (
    "Last anchor: the newest weight measured in any of the batch's containers. Lowest "
    "confidence: that of its worst container. 1.0 is a weight measured that day (0.9 in a transfer "
    "or vaccination), 0.6 modelled with a measured temperature, 0.5 with the temperature of "
    "another day or of the scenario, 0.4 with an interpolated one or after an inferred transfer, "
    "0.3 without temperature."
)


@click.command()
@target_option
def summary(target: str) -> None:
    r"""Show the rows per mart and the newest state of each active batch.

    A batch is active that has fish on the newest day of the marts. In a narrow terminal each
    batch takes three lines instead of a row.

    \b
    Examples:
      anchorline summary
      PGHOST=db PGDATABASE=farm anchorline summary --target prod
    """
    with connect(target, autocommit=True) as connection:
        print_summary(connection, target)


def print_summary(connection: Connection, target: str) -> None:
    """Print the summary of the target's marts on standard output."""
    schema = settings.layer_schema("marts", target)
    build = hints.dbt_build(target, as_of_date=hints.demo_last_day(connection))
    sizes = marts.mart_sizes(connection, schema, build=build)
    states = marts.newest_batch_states(connection, schema, MOST_BATCHES, build=build)
    _print_marts(sizes, schema)
    _print_batches(states)
    more = states.batch_count - len(states.batches)
    if more > 0:
        console.paragraph(f"... and {more} more batches, in {schema}.daily_batch_states.")
    if states.batches:
        console.paragraph(f"\n{SCALE}")
    staging = settings.layer_schema("staging", target)
    for text in marts.differences_from_raw(connection, schema, staging, states.state_date):
        console.paragraph(f"\nNot up to date: {text}. Build again: `{build}`")
    console.out.print("\n" + _next_steps(target, schema, states, build), markup=False)


def _print_marts(sizes: list[marts.MartSize], schema: str) -> None:
    rows = {
        mart.name: f"{'about ' if mart.is_estimate else ''}{mart.row_count:,}" for mart in sizes
    }
    used = max(map(len, rows)) + max(map(len, rows.values())) + 10
    table = Table(title=f"Marts in schema {schema}", title_justify="left", box=box.SIMPLE)
    table.add_column("Mart", no_wrap=True)
    table.add_column("Rows", justify="right", no_wrap=True)
    has_grain = console.out.width - used >= NARROWEST_GRAIN
    if has_grain:
        table.add_column("What a row is")
    for mart in sizes:
        table.add_row(mart.name, rows[mart.name], *([mart.grain] if has_grain else []))
    console.show(table)


def _print_batches(states: marts.BatchStates) -> None:
    """Print a table, or where the terminal is too narrow for it three lines per batch."""
    as_of = states.state_date.isoformat() if states.state_date else "no day yet"
    title = f"Active batches on {as_of}"
    for is_detailed in (True, False):
        table = _batch_table(states, title, is_detailed=is_detailed)
        if console.fits(table):
            console.show(table)
            return
    console.paragraph(f"{title}\n")
    for batch in states.batches:
        anchor = _last_anchor(batch, is_detailed=True)
        console.paragraph(
            f"{batch.batch_number}  {batch.lifecycle_stage_name or ''}".rstrip()
            + f"\n  {batch.population:,} fish of {_weight(batch.avg_weight_g)}, "
            f"{_biomass(batch.biomass_kg)}"
            f"\n  anchor {anchor}, lowest confidence {_confidence(batch) or 'unknown'}"
        )


def _batch_table(states: marts.BatchStates, title: str, *, is_detailed: bool) -> Table:
    table = Table(
        title=f"{title}\n",
        title_justify="left",
        box=box.SIMPLE,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1) if is_detailed else (0, 1, 0, 0),
    )
    table.add_column("Batch", no_wrap=True)
    table.add_column("Stage", no_wrap=True)
    for column in ("Fish", "Mean weight" if is_detailed else "Mean\nweight", "Biomass"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("Last anchor", no_wrap=True)
    confidence = "Lowest\nconfidence" if is_detailed else "Lowest\nconfi-\ndence"
    table.add_column(confidence, justify="right", no_wrap=True)
    for batch in states.batches:
        table.add_row(
            batch.batch_number,
            batch.lifecycle_stage_name or "",
            f"{batch.population:,}",
            _weight(batch.avg_weight_g),
            _biomass(batch.biomass_kg),
            _last_anchor(batch, is_detailed=is_detailed),
            _confidence(batch),
        )
    return table


def _weight(grams: float) -> str:
    return f"{grams:,.2f} g" if grams < 10 else f"{grams:,.0f} g"


def _biomass(kg: float) -> str:
    if kg < 10:
        return f"{kg:,.2f} kg"
    return f"{kg:,.0f} kg" if round(kg) < 1000 else f"{kg / 1000:,.1f} t"


def _last_anchor(batch: marts.BatchState, *, is_detailed: bool) -> str:
    if batch.last_anchor_date is None:
        return "none yet"
    kind = f" {batch.last_anchor_type}" if is_detailed else ""
    return f"{batch.last_anchor_date}{kind}"


def _confidence(batch: marts.BatchState) -> str:
    return "" if batch.confidence is None else f"{batch.confidence:.2f}"


def _next_steps(target: str, schema: str, states: marts.BatchStates, build: str) -> str:
    steps = []
    if target == "embedded":
        steps += [
            ('eval "$(make -s env)"', "dbt and psql on the PATH, then:"),
            (build, "build again, after a change of a model"),
            ("dbt docs generate && dbt docs serve", "every model and column described"),
        ]
        if states.batches:
            number = states.batches[0].batch_number.replace("'", "''")
            columns = "state_date, avg_weight_g, population"
            query = (  # printed, not run
                f"select {columns} from {schema}.daily_batch_states "  # noqa: S608
                f"where batch_number = '{number}' order by state_date desc limit 14"
            )
            steps.append((f'anchorline db psql -c "{query}"', ""))
        steps += [
            ("anchorline db reset && anchorline load DIR", "your own data, from CSV files"),
            ("make clean", "remove everything again"),
        ]
    else:
        doctor = hints.for_target("anchorline doctor", target)
        steps += [
            (build, "build again, with your own --vars"),
            (doctor, "is anything missing for a better result?"),
        ]
    lines = [f"  {command:44} # {why}" if why else f"  {command}" for command, why in steps]
    return "What to try next:\n" + "\n".join(lines)
