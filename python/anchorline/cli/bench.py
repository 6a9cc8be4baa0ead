"""`anchorline bench`: how fast the models build."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from typing import Any, Final

import click
from rich import box
from rich.table import Table

from anchorline import console
from anchorline.bench import BenchReport, run_bench
from anchorline.bench_timescale import StorageTime
from anchorline.cli.options import target_option

GOOD_RATIO: Final = 12
"""Times that the engine may take of what writing its result takes."""


@click.command()
@click.option(
    "--batches",
    type=click.IntRange(1),
    default=20,
    show_default=True,
    help="How many batches the farm has: about 9,000 states each.",
)
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=1,
    show_default=True,
    help="Same seed, same farm.",
)
@click.option(
    "--as-of",
    type=click.DateTime(["%Y-%m-%d"]),
    default="2026-01-31",
    show_default="2026-01-31",
    metavar="DATE",
    help="The farm's last day: fixed, so that runs can be compared.",
)
@click.option("--without-readings", is_flag=True, help="Leave out the sensors' readings.")
@click.option(
    "--repeats",
    type=click.IntRange(1),
    default=3,
    show_default=True,
    help="How often the engine alone is timed; the median counts.",
)
@click.option("--most", type=click.IntRange(1), default=12, show_default=True, help="Models shown.")
@click.option("--refreshes", is_flag=True, help="Measure refreshes of that farm, too.")
@click.option(
    "--timescale",
    is_flag=True,
    help="Measure instead what TimescaleDB costs and saves, beside plain PostgreSQL.",
)
@click.option("--keep", is_flag=True, help="Keep the database that was made for it.")
@target_option
def bench(
    batches: int,
    seed: int,
    as_of: datetime,
    without_readings: bool,
    repeats: int,
    most: int,
    refreshes: bool,
    timescale: bool,
    keep: bool,
    target: str,
) -> None:
    r"""Measure how fast the models build.

    Loads a demo farm into a database of its own on the target's server and builds all models
    without tests. Then times the engine alone, the recursive query that carries number and
    weight from day to day, beside writing its own result (`create table as`): that ratio
    survives a busy machine, the seconds do not; below 12 is good. The database is dropped at
    the end.

    \b
    Examples:
      anchorline bench
      anchorline bench --batches 145 --without-readings
      anchorline bench --batches 145 --without-readings --refreshes
      PGHOST=db anchorline bench --batches 145 --without-readings --timescale --target prod
      PGHOST=db anchorline bench --target dev
    """
    parameters, server = _server(target)
    if timescale:
        from anchorline.bench_timescale import measure_storage

        with closing(server):
            _print_storage(
                measure_storage(
                    server,
                    parameters,
                    batches=batches,
                    as_of=as_of.date(),
                    seed=seed,
                    readings=not without_readings,
                    tell=console.say,
                )
            )
        return
    with closing(server):
        report = run_bench(
            server,
            parameters,
            batches=batches,
            as_of=as_of.date(),
            seed=seed,
            readings=not without_readings,
            repeats=repeats,
            tell=console.say,
            keep=keep,
            refreshes=refreshes,
        )
    _print(report, most)
    if report.refreshes:
        _print_refreshes(report)


def _server(target: str) -> tuple[dict[str, Any], Any]:
    """Return the parameters for dbt and a connection that may create databases."""
    from anchorline.connection import connect, connection_parameters

    if target == "embedded":
        from anchorline.cli.db import start_server

        embedded = start_server()
        parameters = connection_parameters(target)
        parameters.pop("sslmode", None)
        return parameters, embedded.admin_connection()
    return connection_parameters(target), connect(target, autocommit=True)


def _print(report: BenchReport, most: int) -> None:
    table = Table(
        title=f"Models, slowest first: {report.farm}", box=box.SIMPLE, title_justify="left"
    )
    table.add_column("Model")
    table.add_column("Layer")
    for name in ("Seconds", "Rows", "Rows/s"):
        table.add_column(name, justify="right")
    slowest = sorted(report.models, key=lambda model: -model.seconds)
    for model in slowest[:most]:
        table.add_row(
            model.name,
            model.layer,
            f"{model.seconds:.2f}",
            "" if model.rows is None else f"{model.rows:,}",
            "" if model.rows_per_second is None else f"{model.rows_per_second:,.0f}",
        )
    rest = slowest[most:]
    if rest:
        noun = "other model" if len(rest) == 1 else "other models"
        table.add_row(f"{len(rest)} {noun}", "", f"{sum(m.seconds for m in rest):.2f}", "", "")
    console.show(table)
    engine = report.engine
    verdict = "good" if engine.ratio < GOOD_RATIO else "slower than it should be"
    console.paragraph(
        f"Farm loaded in {report.load_seconds:.1f} s, models built in {report.build_seconds:.1f} s "
        f"({len(report.models)} models)\n"
        f"Engine alone: {engine.rows:,} states in {engine.recursion_seconds:.2f} s, "
        f"{engine.rows / engine.recursion_seconds:,.0f} states/s\n"
        f"Writing its result (create table as): {engine.copy_seconds:.2f} s\n"
        f"Engine / create table as: {engine.ratio:.1f} ({verdict})\n"
        "The engine is int_growth_states, the recursive query that carries number and weight from "
        f"day to day. Below {GOOD_RATIO} times the cost of writing its rows is good; the ratio "
        "hardly depends on the machine."
    )


def _print_refreshes(report: BenchReport) -> None:
    table = Table(title="Refreshes, without validation", box=box.SIMPLE, title_justify="left")
    table.add_column("Refresh")
    for name in ("Seconds", "Wanted", "Assignments", "Rows of marts"):
        table.add_column(name, justify="right")
    for measured in report.refreshes:
        limit = measured.limit_seconds
        table.add_row(
            measured.name,
            f"{measured.seconds:.1f}",
            "" if limit is None else f"{limit:.1f}",
            f"{measured.assignment_count:,}",
            f"{measured.row_count:,}",
        )
    console.show(table)


def _print_storage(measured: list[StorageTime]) -> None:
    table = Table(
        title="One farm on one server, without TimescaleDB and with it",
        box=box.SIMPLE,
        title_justify="left",
    )
    table.add_column("")
    for one in measured:
        table.add_column(one.name, justify="right")
    plain, extended = measured
    table.add_column("Ratio", justify="right")

    def row(name: str, value: Callable[[StorageTime], float], form: str) -> None:
        ratio = value(extended) / value(plain)
        table.add_row(name, *(form.format(value(one)) for one in measured), f"{ratio:.2f}")

    row("Daily states", lambda one: one.rows, "{:,.0f}")
    row("All models, s", lambda one: one.build_seconds, "{:.1f}")
    row("One new day, s", lambda one: one.day_seconds, "{:.1f}")
    row("Daily states as written, MB", lambda one: one.size / 1e6, "{:,.1f}")
    row("Series of a batch, ms", lambda one: one.series_seconds * 1000, "{:.1f}")
    console.show(table)
    if extended.compressed_size is None:
        console.paragraph("This edition of TimescaleDB does not compress.")
        return
    saved = 1 - extended.compressed_size / extended.size
    console.paragraph(
        f"Compressed: {extended.compressed_size / 1e6:,.1f} MB, {saved:.1%} saved. The series of "
        f"{extended.series_rows:,} days was read from compressed chunks, and the new day computed "
        "beside them."
    )
