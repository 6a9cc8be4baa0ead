"""`anchorline verify`: the published states against an independent computation."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import datetime
from typing import Any

import click
import pandas as pd
import yaml
from rich import box
from rich.table import Table

from anchorline import console
from anchorline.cli.options import target_option
from anchorline.connection import connect
from anchorline.errors import AnchorlineError


@click.command()
@click.option(
    "--batch",
    "batches",
    multiple=True,
    metavar="NUMBER",
    help="Only this batch; may be repeated. Rejected records are then not compared.",
)
@click.option(
    "--as-of",
    type=click.DateTime(["%Y-%m-%d"]),
    metavar="DATE",
    help="The as-of date of the build.  [default: the day of the provisional states]",
)
@click.option(
    "--vars",
    "variables",
    metavar="YAML",
    help="The vars that dbt was given, as on its command line.",
)
@click.option("--rows", default=10, show_default=True, type=click.IntRange(1), help="Rows shown.")
@click.option(
    "--truth",
    is_flag=True,
    help="Also tell how far the states are from the demo farm's truth.",
)
@target_option
def verify(
    batches: tuple[str, ...],
    as_of: datetime | None,
    variables: str | None,
    rows: int,
    truth: bool,
    target: str,
) -> None:
    r"""Compute states, smoothed series, plans and forecast a second time, without SQL, and compare.

    The reference reads the staging views and seeds only. Counts and sources must be equal,
    unrounded weights within 1e-9 of the weight, published decimals within one unit of the last
    place. Exit code 1 where anything differs, or a table that should be compared is missing; it
    says, then, whether a refresh was at work meanwhile, or changes wait for one.

    All that is compared is copied to a temporary folder first (TMPDIR says where), then computed
    some lineages at a time: memory does not grow with the number of batches.

    \b
    Examples:
      anchorline verify
      anchorline verify --batch FAR-2024-001 --batch FAR-2024-002
      anchorline verify --truth
      anchorline verify --vars '{growth_formula: power_law, as_of_date: 2026-01-31}'
    """
    import pyarrow as pa  # type: ignore[import-untyped]

    from anchorline.verify import run_parameters
    from anchorline.verify import verify as run
    from anchorline.verify.truth import truth_errors
    from anchorline.verify.unsettled import reasons_to_verify_again, server_time

    # Arrow's own allocator keeps memory for later: a third more at the peak
    pa.set_memory_pool(pa.system_memory_pool())
    given = given_variables(variables)
    if as_of is not None:
        given["as_of_date"] = as_of.date()
    with connect(target, autocommit=True) as connection:
        parameters = run_parameters(connection, target, given)
        began = server_time(connection)
        comparison = run(
            connection,
            target,
            parameters=parameters,
            batch_numbers=batches,
            limit=rows,
            tell=console.say,
        )
        again = [] if comparison.agrees else reasons_to_verify_again(connection, target, began)
        errors = truth_errors(connection, target) if truth else None
    _print_columns(comparison)
    _print_rows(comparison)
    for table in comparison.tables:
        _print_table(table)
    if comparison.missing:
        console.paragraph(
            "Not compared, because the database does not hold it: "
            f"{', '.join(comparison.missing)}. Run `dbt build`, and verify again.\n"
        )
    for reason in again:
        console.paragraph(reason)
    if errors is not None:
        _print_truth(errors)
    verdict = _verdict(comparison)
    console.out.print(f"{comparison.state_count:,} states as of {parameters.as_of_date}: {verdict}")
    if not comparison.agrees:
        click.get_current_context().exit(1)


def given_variables(text: str | None) -> dict[str, Any]:
    """Return the vars that `--vars` gives; AnchorlineError where it is no YAML mapping."""
    if not text:
        return {}
    try:
        given = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise AnchorlineError(f"--vars is {text!r}, which is not valid YAML.") from error
    if not isinstance(given, dict):
        raise AnchorlineError(f"--vars is {text!r}; expected something like '{{name: value}}'.")
    return given


def _verdict(comparison: Any) -> str:
    if comparison.agrees:
        return "no difference"
    if replace(comparison, missing=()).agrees:
        return "no difference in what was compared; not all of it was"
    return "they differ"


def _print_table(compared: Any) -> None:
    table = _column_table(f"{compared.name}: {compared.row_count:,} rows", compared.columns)
    for name, count in (
        ("rows only in the database", compared.only_in_database),
        ("rows only in the reference", compared.only_in_reference),
    ):
        table.add_row(name, "none", "", f"{count:,}")
    console.show(table)
    if len(compared.first_rows):
        console.show(_frame_table("First rows that differ", compared.first_rows))


def _column_table(title: str, columns: Any) -> Table:
    table = Table(title=title, box=box.SIMPLE, title_justify="left")
    table.add_column("Column")
    table.add_column("Must be")
    table.add_column("Largest difference", justify="right")
    table.add_column("Rows that differ", justify="right")
    for column in columns:
        largest = "" if math.isnan(column.largest) else f"{column.largest:.3g}"
        table.add_row(column.name, column.rule, largest, f"{column.differing:,}")
    return table


def _print_columns(comparison: Any) -> None:
    table = _column_table("Database against reference", comparison.columns)
    for name, count in (
        ("states only in the database", comparison.only_in_database),
        ("states only in the reference", comparison.only_in_reference),
        ("rejected only in the database", len(comparison.rejected_only_in_database)),
        ("rejected only in the reference", len(comparison.rejected_only_in_reference)),
    ):
        table.add_row(name, "none", "", f"{count:,}")
    console.show(table)


def _print_rows(comparison: Any) -> None:
    if len(comparison.first_rows):
        console.show(_frame_table("First rows that differ", comparison.first_rows))
    for title, frame in (
        ("Rejected only in the database", comparison.rejected_only_in_database),
        ("Rejected only in the reference", comparison.rejected_only_in_reference),
    ):
        if len(frame):
            console.show(_frame_table(title, frame.head(10)))


def _print_truth(errors: pd.DataFrame) -> None:
    shown = errors.copy()
    for column in shown.columns:
        if column.endswith("_percent"):
            shown[column] = [("" if math.isnan(x) else f"{x:.2f} %") for x in shown[column]]
    shown["states"] = [f"{count:,}" for count in shown["states"]]
    shown.columns = pd.Index(
        ["Days since the last anchor", "States", "Weight", "Number", "Biomass"]
    )
    console.show(_frame_table("Mean absolute error against the truth, days without anchor", shown))


def _frame_table(title: str, frame: pd.DataFrame) -> Table:
    table = Table(title=title, box=box.SIMPLE, title_justify="left")
    for column in frame.columns:
        table.add_column(str(column), justify="left" if column == frame.columns[0] else "right")
    for row in frame.itertuples(index=False):
        table.add_row(*(str(value) for value in row))
    return table
