"""`anchorline summary`: what the marts hold now, for a person."""

from __future__ import annotations

import click
from psycopg import Connection
from rich import box
from rich.table import Table

from anchorline import console, marts, settings
from anchorline.cli.options import target_option
from anchorline.connection import connect

MOST_BATCHES = 20


@click.command()
@target_option
def summary(target: str) -> None:
    r"""Show the rows per mart and the newest state of each active batch.

    A batch is active that has fish on the newest day of the marts.

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
    sizes = marts.mart_sizes(connection, schema)
    states = marts.newest_batch_states(connection, schema, MOST_BATCHES)
    console.out.print(_mart_table(sizes, schema))
    console.out.print(_batch_table(states))
    more = states.batch_count - len(states.batches)
    if more > 0:
        console.out.print(f"... and {more} more batches, in {schema}.daily_batch_states.\n")
    console.out.print(_next_steps(target, schema, states), markup=False)


def _mart_table(sizes: list[marts.MartSize], schema: str) -> Table:
    table = Table(title=f"Marts in schema {schema}", title_justify="left", box=box.SIMPLE)
    table.add_column("Mart", no_wrap=True)
    table.add_column("Rows", justify="right", no_wrap=True)
    table.add_column("What a row is")
    for mart in sizes:
        about = "about " if mart.is_estimate else ""
        table.add_row(mart.name, f"{about}{mart.row_count:,}", mart.grain)
    return table


def _batch_table(states: marts.BatchStates) -> Table:
    as_of = states.state_date.isoformat() if states.state_date else "no day yet"
    table = Table(title=f"Active batches on {as_of}", title_justify="left", box=box.SIMPLE)
    table.add_column("Batch", no_wrap=True)
    table.add_column("Stage")
    for column in ("Fish", "Mean weight", "Biomass"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("Last anchor", no_wrap=True)
    table.add_column("Confidence", justify="right")
    for batch in states.batches:
        table.add_row(
            batch.batch_number,
            batch.lifecycle_stage_name or "",
            f"{batch.population:,}",
            _weight(batch.avg_weight_g),
            f"{batch.biomass_kg / 1000:,.1f} t",
            f"{batch.last_anchor_date} {batch.last_anchor_type}"
            if batch.last_anchor_date
            else "none yet",
            "" if batch.confidence is None else f"{batch.confidence:.2f}",
        )
    return table


def _weight(grams: float) -> str:
    return f"{grams:,.2f} g" if grams < 10 else f"{grams:,.0f} g"


def _next_steps(target: str, schema: str, states: marts.BatchStates) -> str:
    steps = []
    if target == "embedded":
        steps += [
            ('eval "$(make -s env)"', "dbt and psql on the PATH, then:"),
            ("dbt build", "build again, after a change of a model"),
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
        steps += [
            ("anchorline doctor --target " + target, "is anything missing for a better result?")
        ]
    lines = [f"  {command:44} # {why}" if why else f"  {command}" for command, why in steps]
    return "What to try next:\n" + "\n".join(lines)
