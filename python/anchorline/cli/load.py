"""`anchorline load`: raw tables from a folder of CSV files."""

from __future__ import annotations

import shlex
from pathlib import Path

import click
from rich import box
from rich.progress import TaskID
from rich.table import Table

from anchorline import console, hints, loading, settings
from anchorline.cli.options import target_option
from anchorline.connection import connect
from anchorline.raw.sources import project_variable


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--replace",
    is_flag=True,
    help="Put the folder's rows in the place of those that its tables hold now. A demo farm "
    "is removed as a whole.",
)
@click.option(
    "--raw-schema",
    metavar="NAME",
    help="Schema of the raw tables.  [default: the var raw_schema of dbt_project.yml]",
)
@target_option
def load(folder: Path, replace: bool, raw_schema: str | None, target: str) -> None:
    r"""Load raw tables from a folder of <table>.csv or <table>.csv.gz files.

    The first line of a file names its columns, in any order. An empty field is null, a quoted
    empty one ("") is an empty text. Text is UTF-8; a timestamp without an offset is UTC. Any
    subset of the tables will do; tables that are missing in the database are created.

    All files are loaded or none: the first row that cannot be loaded is named by file, line
    and column, and the database stays as it was.

    \b
    Examples:
      anchorline load exports/2026-03-01
      anchorline load exports/2026-03-01 --replace
      PGHOST=db PGDATABASE=farm anchorline load exports --target dev --raw-schema raw
    """
    schema = raw_schema or project_variable("raw_schema", "public")
    unused = hints.unused_pg_variables(target)
    pg_variables = (
        f"{hints.listed(unused)} {'is' if len(unused) == 1 else 'are'} set, but the target is "
        f"{target}: for the server named there add --target dev or --target prod."
        if unused
        else ""
    )
    with connect(target) as conn:
        with console.progress() as progress:
            tasks: dict[str, TaskID] = {}

            def report(table: str, done: int, size: int) -> None:
                if table not in tasks:
                    tasks[table] = progress.add_task(table, total=size)
                progress.update(tasks[table], completed=done)

            loaded = loading.load_folder(
                conn,
                folder,
                schema,
                replace=replace,
                ops_schema=settings.layer_schema("ops", target),
                advice=pg_variables,
                report_progress=report,
            )
        beside = loading.filled_tables_beside(conn, schema, [table.table for table in loaded])
        where = f"schema {schema} of {hints.place(conn)}"
    _print_summary(loaded, where)
    if pg_variables:
        console.note(pg_variables)
    if beside:
        console.note(
            f"{len(beside)} raw tables that the folder does not have keep their rows: "
            f"{', '.join(beside)}."
        )
    looking = hints.for_target("anchorline doctor", target)
    if schema != project_variable("raw_schema", "public"):
        looking += f" --raw-schema {shlex.quote(schema)}"
    console.say(f"Next: `{looking}`, then `{hints.dbt_build(target, raw_schema=schema)}`.")


def _print_summary(loaded: list[loading.LoadedTable], where: str) -> None:
    table = Table(title=f"Loaded into {where}", title_justify="left", box=box.SIMPLE)
    table.add_column("Table", no_wrap=True)
    table.add_column("Rows", justify="right")
    table.add_column("")
    for entry in loaded:
        table.add_row(entry.table, f"{entry.row_count:,}", "new" if entry.is_created else "")
    table.add_section()
    table.add_row(f"{len(loaded)} tables", f"{sum(entry.row_count for entry in loaded):,}", "")
    console.show(table)
