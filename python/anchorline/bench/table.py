"""What was measured, as the rows of one table: for the terminal, a file and the docs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from anchorline.bench.run import BenchReport
from anchorline.bench.usage import Usage

SEED_BATCHES: Final = 145
MOST_FLOORS: Final = 3.0
MOST_COPIES: Final = 8.0
MOST_CLIENT_BYTES: Final = 500e6
MOST_SECONDS: Final = {
    "build": 60.0,
    "events, one new sample": 3.0,
    "events, another new sample": 3.0,
    "events, one new day of all that hold fish": 15.0,
}
"""What is wanted of 145 batches on two cores, with the settings of the embedded database."""

MANUAL_SECONDS: Final = "3.2 published, 28 to 52 measured"
MANUAL_STATEMENTS: Final = "about 50 published, 16,000 to 38,000 measured"
"""What the operational system's own recomputation takes for a batch."""


@dataclass(frozen=True)
class Line:
    """One measured figure; `is_met` is None where nothing is wanted of it."""

    what: str
    value: str
    wanted: str = ""
    is_met: bool | None = None


def lines(report: BenchReport) -> Iterator[Line]:
    """Yield the figures, from the farm to the refreshes."""
    yield from _farm(report)
    yield from _build(report)
    yield from _engine(report)
    yield from _questions(report)
    for command, usage in report.checks.items():
        yield Line(f"anchorline {command}", _seconds(usage.seconds))
        yield _client_memory(f"anchorline {command}", usage)
    for refresh in report.refreshes:
        name = f"Refresh: {refresh.name}"
        value = _seconds(refresh.usage.seconds)
        if refresh.assignment_count:
            value += f" ({refresh.assignment_count:,} assignments, {refresh.row_count:,} rows)"
        most = MOST_SECONDS.get(refresh.name) if report.batches <= SEED_BATCHES else None
        if refresh.name == "scan, nothing changed":
            most = report.build.seconds / 2
        yield _at_most(name, value, refresh.usage.seconds, most, _seconds)
    if report.refreshes:
        largest = max((one.usage for one in report.refreshes), key=lambda one: one.client_bytes)
        yield _client_memory("refreshes", largest)


def _farm(report: BenchReport) -> Iterator[Line]:
    farm = report.farm
    yield Line("Batches", f"{report.batches:,}")
    yield Line("Rows in, of them readings", f"{farm.row_count:,}, {farm.reading_count:,}")
    yield Line(
        "Farm made and loaded",
        f"{_seconds(farm.seconds)}, {farm.row_count / farm.seconds:,.0f} rows/s",
    )
    yield _client_memory("loading", report.load)


def _build(report: BenchReport) -> Iterator[Line]:
    if report.work is None:
        return
    work, usage = report.work, report.build
    rows_out = sum(size.row_count for size in report.sizes if size.layer == "marts")
    yield Line("Rows out (marts)", f"{rows_out:,}")
    yield _at_most(
        "Full build",
        f"{_seconds(usage.seconds)}, {rows_out / usage.seconds:,.0f} rows/s",
        usage.seconds,
        MOST_SECONDS["build"] if report.batches == SEED_BATCHES else None,
        _seconds,
    )
    model_seconds = sum(model.seconds for model in work.models)
    yield Line(
        "Of it, summed over both sessions",
        f"{len(work.models)} models {_seconds(model_seconds)}, "
        f"{work.test_count:,} data tests {_seconds(work.test_seconds)}",
    )
    if report.floor is not None:
        ratio = usage.seconds / report.floor.seconds
        yield Line(
            "Floor: readings read once, marts copied with indexes",
            f"{_seconds(report.floor.readings_seconds)} + {_seconds(report.floor.copy_seconds)}",
        )
        yield _at_most("Full build / floor", f"{ratio:.1f}", ratio, MOST_FLOORS, "{:.0f}".format)
    rows_read = sum(work.rows_read.values())
    yield Line("Rows read / rows in", f"{rows_read / report.farm.row_count:.1f}")
    yield Line("Per batch: seconds", f"{usage.seconds / report.batches:.2f}", f"({MANUAL_SECONDS})")
    yield Line(
        "Per batch: statements",
        f"{work.statement_count / report.batches:,.1f} ({work.statement_count:,} in all)",
        f"({MANUAL_STATEMENTS})",
    )
    yield _client_memory("building", usage)
    yield Line("CPU of dbt", _seconds(usage.client_cpu_seconds))
    if usage.server_cpu_seconds is not None and usage.server_bytes is not None:
        yield Line("CPU of the server", _seconds(usage.server_cpu_seconds))
        yield Line(
            "Server's memory at most: own + shared",
            f"{_size(usage.server_bytes)} + {_size(usage.server_shared_bytes)}",
        )
    for size in report.sizes:
        yield Line(
            f"Tables + indexes: {size.layer}",
            f"{_size(size.table_bytes)} + {_size(size.index_bytes)}",
        )


def _engine(report: BenchReport) -> Iterator[Line]:
    engine = report.engine
    if engine is None:
        return
    per_second = engine.rows / engine.recursion_seconds
    yield Line(
        "Engine alone",
        f"{engine.rows:,} states in {_seconds(engine.recursion_seconds)}, {per_second:,.0f}/s",
    )
    yield Line("Writing its result (create table as)", f"{engine.copy_seconds:.2f} s")
    yield _at_most(
        "Engine / create table as",
        f"{engine.ratio:.1f}",
        engine.ratio,
        MOST_COPIES,
        "{:.0f}".format,
    )
    if report.loop is not None:
        loop = report.loop
        yield Line(
            f"Loop over the days of {loop.batch_number} in Python",
            f"{loop.states:,} states in {_seconds(loop.seconds)}, {loop.statements:,} statements",
        )
        yield Line(
            "Engine, times as fast as the loop", f"{per_second / loop.states_per_second:,.0f}"
        )


def _questions(report: BenchReport) -> Iterator[Line]:
    if not report.questions:
        return
    medians = sorted(one.median_seconds for one in report.questions)
    yield Line(
        f"Dashboards: median of {len(medians)} questions", _milliseconds(medians[len(medians) // 2])
    )
    worst = report.questions[0]
    yield Line(
        f"Dashboards: worst ({worst.key})",
        f"{_milliseconds(worst.worst_seconds)}, its median {_milliseconds(worst.median_seconds)}",
    )


def _at_most(
    what: str, value: str, measured: float, most: float | None, form: Callable[[float], str]
) -> Line:
    if most is None:
        return Line(what, value)
    return Line(what, value, f"at most {form(most)}", measured <= most)


def _client_memory(of: str, usage: Usage) -> Line:
    return Line(
        f"Client's memory at most: {of}",
        _size(usage.client_bytes),
        f"at most {_size(MOST_CLIENT_BYTES)}",
        usage.client_bytes <= MOST_CLIENT_BYTES,
    )


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f} s"


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:,.0f} ms"


def _size(size: float) -> str:
    return f"{size / 1e6:,.0f} MB"
