"""`anchorline doctor`: what a database lacks for its first build."""

from __future__ import annotations

import json

import click
from rich import box
from rich.table import Table
from rich.text import Text

from anchorline import console, hints, settings
from anchorline import doctor as examination
from anchorline.cli.options import target_option
from anchorline.connection import connect
from anchorline.raw.sources import project_variable, read_sources

MARKS = {
    "ok": ("ok", "green"),
    "note": ("note", "cyan"),
    "warning": ("warning", "yellow"),
    "error": ("error", "bold red"),
}


@click.command()
@click.option(
    "--raw-schema",
    metavar="NAME",
    help="Schema of the raw tables.  [default: the var raw_schema of dbt_project.yml]",
)
@click.option(
    "--timezone",
    metavar="NAME",
    help="Time zone whose days count.  [default: the var timezone of dbt_project.yml]",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@target_option
@click.pass_context
def doctor(
    ctx: click.Context,
    raw_schema: str | None,
    timezone: str | None,
    as_json: bool,
    target: str,
) -> None:
    r"""Check a database before its first build.

    Looks at the server, the rights, the time zone, and at every table, column and index that
    the models read, and says all at once what is missing and what each absence costs; then
    about how long the first `dbt build`, with its tests, will take. Changes nothing. Row
    counts are the server's own estimates.

    Exits with 1 when something is missing without which nothing can be built.

    \b
    Examples:
      anchorline doctor
      PGHOST=db PGUSER=analyst PGDATABASE=farm anchorline doctor --target dev
      anchorline doctor --raw-schema raw --timezone Atlantic/Faroe
      anchorline doctor --json | jq '.findings[] | select(.level == "error")'
    """
    schema = raw_schema or project_variable("raw_schema", "public")
    zone = timezone or project_variable("timezone", "UTC")
    with connect(target) as conn:
        report = examination.examine(
            conn,
            target=target,
            analytics_schema=settings.target_schema(target),
            raw_schema=schema,
            time_zone=zone,
            sources=read_sources(),
        )
        as_of = hints.demo_last_day(conn)
    if as_json:
        click.echo(json.dumps(report.to_dict(), indent=2))
    else:
        build = hints.dbt_build(target, raw_schema=schema, timezone=zone, as_of_date=as_of)
        _print(report, build)
    if not report.is_ready:
        ctx.exit(1)


def _print(report: examination.Report, build: str) -> None:
    if report.tables:
        console.show(_tables(report))
    console.show(_findings(report))
    estimate = report.estimate
    if estimate is not None:
        console.paragraph(
            f"About {estimate.state_count:,} states of {estimate.assignment_count:,} assignments "
            f"and {estimate.reading_count:,} readings: a first `dbt build` with all its tests "
            f"takes roughly {duration(estimate.seconds)} on two cores."
        )
    errors = sum(finding.level == "error" for finding in report.findings)
    if errors:
        things = "1 thing" if errors == 1 else f"{errors} things"
        console.out.print(
            f"Not ready: {things} must be put right before a build.", style="bold red"
        )
    else:
        console.out.print(f"Ready: `{build}` has what it needs.", style="bold green", markup=False)


def _tables(report: examination.Report) -> Table:
    table = Table(
        title=f"Raw tables in schema {report.raw_schema}", title_justify="left", box=box.SIMPLE
    )
    table.add_column("Table", no_wrap=True)
    table.add_column("Rows, about", justify="right")
    table.add_column("")
    for entry in report.tables:
        if entry.is_present:
            rows = "not known" if entry.row_count is None else f"{entry.row_count:,}"
            table.add_row(entry.table, rows, "")
        else:
            missing = Text("missing", "bold red") if entry.is_required else Text("absent", "cyan")
            table.add_row(entry.table, "", missing)
    return table


def _findings(report: examination.Report) -> Table:
    table = Table(title="Findings", title_justify="left", box=box.SIMPLE, show_header=False)
    table.add_column("", no_wrap=True)
    table.add_column("", overflow="fold")
    # What is said of many tables is said once.
    subjects: dict[tuple[examination.Level, str], list[str]] = {}
    for finding in report.findings:
        subjects.setdefault((finding.level, finding.text), []).append(finding.subject)
    for (level, text), named in subjects.items():
        mark, style = MARKS[level]
        table.add_row(Text(mark, style), Text.assemble((", ".join(named), "bold"), ": ", text))
    return table


def duration(seconds: float) -> str:
    """Return a length of time as a person says it."""
    if seconds < 90:
        return f"{max(10, round(seconds / 10) * 10)} seconds"
    minutes = seconds / 60
    if minutes < 90:
        return f"{round(minutes)} minutes"
    return f"{minutes / 60:.1f} hours"
