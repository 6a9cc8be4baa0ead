"""`anchorline bench`: how fast anchorline is."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from rich import box
from rich.table import Table

from anchorline import console
from anchorline.bench.run import PARTS, BenchReport, Machine, run_bench
from anchorline.bench.scratch import SIZES, FarmSize
from anchorline.bench.storage import StorageTime, measure_storage
from anchorline.bench.table import lines
from anchorline.cli.options import target_option


@click.command()
@click.option(
    "--size",
    type=click.Choice(list(SIZES)),
    default="small",
    show_default=True,
    help="The farm: 5, 145, 435 or 1,450 batches, with all that sensors measured of them.",
)
@click.option(
    "--batches",
    type=click.IntRange(1),
    help="A farm of another size: about 9,000 states a batch.",
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
    "--only",
    "parts",
    type=click.Choice(PARTS),
    multiple=True,
    help="Measure this beside the build, and nothing else; may be repeated.  [default: all]",
)
@click.option(
    "--repeats",
    type=click.IntRange(1),
    default=3,
    show_default=True,
    help="How often the engine alone is timed; the median counts.",
)
@click.option("--most", type=click.IntRange(1), default=12, show_default=True, help="Models shown.")
@click.option(
    "--json",
    "json_file",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Write all figures to this file, too, after each part.",
)
@click.option(
    "--timescale",
    is_flag=True,
    help="Measure instead what TimescaleDB costs and saves, beside plain PostgreSQL.",
)
@click.option("--keep", is_flag=True, help="Keep the database that was made for it.")
@target_option
def bench(
    size: str,
    batches: int | None,
    seed: int,
    as_of: datetime,
    without_readings: bool,
    parts: tuple[str, ...],
    repeats: int,
    most: int,
    json_file: Path | None,
    timescale: bool,
    keep: bool,
    target: str,
) -> None:
    r"""Measure how fast anchorline is.

    Loads a demo farm into a database of its own on the target's server, builds it, and measures:
    the build beside the least that it has to do (floor: the readings read once, the marts
    copied), the recursive engine beside writing its result and beside a loop in Python, the
    questions of the dashboards, `validate`, `verify` and refreshes, with the memory that each
    takes. Ratios survive a busy machine, seconds do not. The database is dropped at
    the end.

    \b
    Sizes:
      small   5 batches: two minutes
      seed    145 batches, 17 million readings: a quarter of an hour
      x3      435 batches, 50 million readings
      x10     1,450 batches, one reading a day: two hours, 45 GB of disk

    \b
    Examples:
      anchorline bench
      anchorline bench --size seed --json seed.json
      anchorline bench --size x10 --only engine --only floor
      anchorline bench --batches 145 --without-readings --only refreshes
      PGHOST=db anchorline bench --batches 145 --without-readings --timescale --target prod
    """
    chosen = SIZES[size]
    if batches is not None:
        chosen = FarmSize(batches)
    if without_readings:
        chosen = FarmSize(chosen.batches, 0)
    parameters, server = _server(target)
    with closing(server):
        if timescale:
            _print_storage(
                measure_storage(
                    server,
                    parameters,
                    size=chosen,
                    as_of=as_of.date(),
                    seed=seed,
                    tell=console.say,
                )
            )
            return
        report = run_bench(
            server,
            parameters,
            size=chosen,
            as_of=as_of.date(),
            seed=seed,
            repeats=repeats,
            parts=parts or PARTS,
            tell=console.say,
            on_part=lambda so_far: _write(so_far, json_file),
            keep=keep,
        )
    _print_models(report, most)
    _print(report)


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


def _write(report: BenchReport, file: Path | None) -> None:
    """Write what was measured so far: a long run that is ended has not been for nothing."""
    if file is not None:
        file.write_text(json.dumps(asdict(report), indent=2, default=str), encoding="utf-8")


def _print_models(report: BenchReport, most: int) -> None:
    if report.work is None:
        return
    table = Table(
        title=f"Models, slowest first: {report.farm.description}",
        box=box.SIMPLE,
        title_justify="left",
    )
    table.add_column("Model")
    table.add_column("Layer")
    for name in ("Seconds", "Rows", "Rows/s"):
        table.add_column(name, justify="right")
    slowest = sorted(report.work.models, key=lambda model: -model.seconds)
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


def _print(report: BenchReport) -> None:
    table = Table(title="Measured", box=box.SIMPLE, title_justify="left")
    table.add_column("")
    table.add_column("Figure", justify="right")
    table.add_column("Wanted")
    table.add_column("")
    for line in lines(report):
        verdict = "" if line.is_met is None else "met" if line.is_met else "missed"
        table.add_row(line.what, line.value, line.wanted, verdict)
    console.show(table)
    console.paragraph(_place(report.machine))


def _place(machine: Machine) -> str:
    """Return where it was measured, in a sentence or two."""
    shown = ", ".join(f"{name} {value}" for name, value in machine.settings.items())
    return (
        f"{machine.cores} cores, {machine.memory_bytes / 1e9:.0f} GB, {machine.system}, "
        f"Python {machine.python}, dbt {machine.dbt}, PostgreSQL {machine.server} with {shown}. "
        "Wanted is what two cores should do with the settings of the embedded database."
    )


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
