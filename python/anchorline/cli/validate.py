"""`anchorline validate`: whether raw tables and marts hold what they promise."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import click
import yaml
from rich import box
from rich.table import Table
from rich.text import Text

from anchorline import console, settings
from anchorline.cli.options import target_option
from anchorline.errors import AnchorlineError
from anchorline.expectations.outcomes import BROKEN, FAILED, PASSED, SKIPPED, Outcome
from anchorline.expectations.suites import SUITES
from anchorline.expectations.validation import Validation
from anchorline.expectations.validation import validate as run_suites


@click.command()
@click.option(
    "--suite",
    type=click.Choice([*SUITES, "all"]),
    default="all",
    show_default=True,
    help="Which boundary: what goes in, what comes out, or both.",
)
@click.option(
    "--batch",
    "batches",
    multiple=True,
    metavar="BATCH",
    help="Only this batch and those that its fish mixed with; may be repeated.",
)
@click.option(
    "--out",
    "docs_folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the Data Docs (HTML).  [default: target/validation of the project]",
)
@click.option(
    "--as-of",
    type=click.DateTime(["%Y-%m-%d"]),
    metavar="DATE",
    help="The last day of the data: freshness counts from it.  [default: the var as_of_date]",
)
@click.option(
    "--vars",
    "variables",
    metavar="YAML",
    help="The vars that the marts were built with, as given to dbt.",
)
@click.option("--all", "show_all", is_flag=True, help="List the raw expectations that hold, too.")
@target_option
@click.pass_context
def validate(
    ctx: click.Context,
    suite: str,
    batches: tuple[str, ...],
    docs_folder: Path | None,
    as_of: datetime | None,
    variables: str | None,
    show_all: bool,
    target: str,
) -> None:
    r"""Check that raw tables and marts hold what they promise.

    Suite raw: shapes, keys, references, values and freshness of the operational tables, which
    a farm should put right at the source; what fails there is a warning. Suite marts: anchors,
    balances, completeness, ranges, sources and roll-ups of what was built; what fails there is
    an error. Changes nothing in the database.

    Exits with 1 on an error, and on an expectation that could not be evaluated.

    \b
    Examples:
      anchorline validate
      anchorline validate --suite raw --as-of 2026-01-31
      anchorline validate --suite marts --batch FAR-2024-001
      PGHOST=db anchorline validate --suite marts --target prod --out /var/www/validation
    """
    found = run_suites(
        target,
        SUITES if suite == "all" else (suite,),
        docs_folder=docs_folder or settings.project_folder() / "target" / _docs_name(batches),
        as_of=as_of.date() if as_of else None,
        variables=_read_variables(variables),
        batch_numbers=batches,
    )
    limit = found.names.limit
    if limit is not None and limit.is_of_marts:
        console.out.print(
            "Old states are dropped (var states_kept_years): the marts are checked for "
            f"{len(limit.batch_numbers)} batches of which all states are kept.\n",
            markup=False,
        )
    elif limit is not None:
        console.out.print(f"Limited to {', '.join(limit.batch_numbers)}\n", markup=False)
    for name in SUITES:
        outcomes = [outcome for outcome in found.outcomes if outcome.suite == name]
        if outcomes:
            _print_suite(name, outcomes, found, show_passed=show_all or name == "marts")
    if found.docs is not None:
        console.out.print(f"Data Docs: {found.docs}", markup=False)
    ctx.exit(1 if found.errors else 0)


def _docs_name(batches: tuple[str, ...]) -> str:
    """Keep the pages of a few batches apart from those of the whole farm."""
    return "validation-of-batches" if batches else "validation"


def _read_variables(text: str | None) -> dict[str, Any]:
    try:
        variables = yaml.safe_load(text) if text else {}
    except yaml.YAMLError as error:
        raise AnchorlineError(
            f"--vars is not YAML: {text!r}. Write it as for dbt: '{{as_of_date: 2026-01-31}}'."
        ) from error
    if not isinstance(variables, dict):
        raise AnchorlineError(
            f"--vars is {text!r}, which is no mapping of vars. Write it as for dbt: "
            "'{as_of_date: 2026-01-31}'."
        )
    return {str(name): value for name, value in variables.items() if value is not None}


def _print_suite(
    name: str, outcomes: list[Outcome], found: Validation, *, show_passed: bool
) -> None:
    schema = found.names.schemas[name]
    title = f"Suite {name}: schema {schema}"
    if name == "raw":
        title += f", as of {found.names.as_of}"
    table = Table(title=Text(title), title_justify="left", box=box.SIMPLE)
    table.add_column("", no_wrap=True)
    table.add_column("Expectation", no_wrap=True)
    for column in ("Rows tried", "Failed"):
        table.add_column(column, justify="right", no_wrap=True)
    shown = [o for o in outcomes if o.status != SKIPPED and (show_passed or o.status != PASSED)]
    for outcome in sorted(shown, key=lambda o: (o.status == PASSED, not o.is_error)):
        table.add_row(
            _mark(outcome),
            outcome.id,
            "" if outcome.rows_tried is None else f"{outcome.rows_tried:,}",
            "" if outcome.status == PASSED else _failed(outcome),
        )
    if shown:
        console.show(table)
    else:
        console.out.print(title, markup=False)
    for outcome in outcomes:
        _print_examples(outcome)
    skipped: dict[str, list[str]] = {}
    for outcome in outcomes:
        if outcome.status == SKIPPED:
            skipped.setdefault(str(outcome.reason), []).append(outcome.id)
    for reason, ids in skipped.items():
        console.out.print(f"  skipped {', '.join(ids)}: {reason}", markup=False)
    console.out.print(_summed_up(outcomes) + "\n", markup=False)


def _mark(outcome: Outcome) -> Text:
    if outcome.status == PASSED:
        return Text("ok", "green")
    return Text("error", "bold red") if outcome.is_error else Text("warning", "yellow")


def _failed(outcome: Outcome) -> str:
    return "not evaluated" if outcome.status == BROKEN else f"{outcome.rows_failed:,}"


def _print_examples(outcome: Outcome) -> None:
    if outcome.status == FAILED:
        console.out.print(f"  {outcome.id}: {outcome.description}", markup=False)
        for row in outcome.examples:
            console.out.print(f"      {_example(row)}", markup=False)
    elif outcome.status == BROKEN:
        reason = str(outcome.reason).replace("\n", "\n      ")
        console.out.print(f"  {outcome.id} could not be evaluated: {reason}", markup=False)


def _example(row: dict[str, Any]) -> str:
    where = [
        f"batch {row['batch']}" if row.get("batch") is not None else "",
        f"assignment {row['assignment_id']}" if row.get("assignment_id") is not None else "",
        str(row["date"]) if row.get("date") is not None else "",
    ]
    figures = [
        f"{name} {'null' if value is None else value}"
        for name, value in row.items()
        if name not in ("batch", "assignment_id", "date")
    ]
    return ", ".join([text for text in where if text] + figures)


def _summed_up(outcomes: list[Outcome]) -> str:
    count = {
        status: sum(outcome.status == status for outcome in outcomes)
        for status in (PASSED, FAILED, BROKEN, SKIPPED)
    }
    kind = "errors" if any(o.severity == "critical" for o in outcomes) else "warnings"
    parts = [f"{count[PASSED]} of {len(outcomes)} expectations hold"]
    if count[FAILED]:
        parts.append(f"{count[FAILED]} {kind if count[FAILED] > 1 else kind[:-1]}")
    if count[BROKEN]:
        parts.append(f"{count[BROKEN]} not evaluated")
    if count[SKIPPED]:
        parts.append(f"{count[SKIPPED]} skipped")
    return ", ".join(parts) + "."
