"""How `anchorline db info` looks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Final

from rich import box
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from anchorline import console
from anchorline.timescale.info import ContinuousAggregate, Hypertable, Info, Policy

STATUS_STYLES: Final = {"Success": "green", "Failed": "bold red"}
MOST_RANGES: Final = 3
"""How many waiting ranges of an aggregate are named."""


def print_info(info: Info) -> None:
    """Print what there is; tables without rows are left out."""
    size = "" if info.database_bytes is None else f" ({megabytes(info.database_bytes)})"
    lines = [
        ("server", f"PostgreSQL {info.server_version}"),
        ("database", f"{info.database}{size}"),
        ("timescaledb", _extension(info)),
    ]
    for name, value in lines:
        console.out.print(f"{name:12} {value}", markup=False)
    console.paragraph(info.extension.meaning)
    _print_entries("Hypertables", [_hypertable(entry) for entry in info.hypertables])
    _print_entries(
        "Continuous aggregates", [_aggregate(entry) for entry in info.continuous_aggregates]
    )
    _print_entries("Policies", [_policy(entry) for entry in info.policies])
    if info.largest_tables:
        console.out.print()
        console.show(_plain_table(info))
    if not info.hypertables and not info.largest_tables:
        console.paragraph(
            f"None of the schemas {', '.join(info.schemas)} holds a table yet; `dbt build` makes "
            "them."
        )


def megabytes(size: int) -> str:
    """Return a size in bytes as a person reads it."""
    if size < 1e6:
        return f"{size / 1e3:,.0f} kB"
    return f"{size / 1e6:,.1f} MB" if size < 1e9 else f"{size / 1e9:,.2f} GB"


def _extension(info: Info) -> str:
    extension = info.extension
    if extension.version is None:
        return "not there" if extension.state == "absent" else "not used"
    newer = f" (the server has {extension.offered_version})" if extension.offered_version else ""
    edition = "" if extension.edition is None else f", {extension.edition} edition"
    return f"{extension.version}{edition}{newer}"


def _print_entries(title: str, entries: Sequence[tuple[str, list[Text]]]) -> None:
    """Print things with long names and much to say: a line with the name, the rest below it."""
    if not entries:
        return
    console.out.print()
    console.out.print(title, style="italic", markup=False)
    for name, lines in entries:
        console.out.print()
        console.out.print(f"  {name}", markup=False)
        for line in lines:
            console.show(Padding(line, (0, 0, 0, 4)))


def _hypertable(entry: Hypertable) -> tuple[str, list[Text]]:
    chunks = f"{entry.chunk_count:,} chunks of {entry.chunk_interval} by {entry.time_column}"
    rows = "rows not counted yet" if entry.row_count is None else f"{entry.row_count:,} rows"
    lines = [Text(f"{chunks}; {rows}, {megabytes(entry.total_bytes)}")]
    if entry.can_compress:
        compressed = f"{entry.compressed_chunk_count:,} chunks compressed"
        if entry.partial_chunk_count:
            compressed += f", {entry.partial_chunk_count:,} of them with rows changed since"
        if entry.compressed_rows_percent is not None:
            compressed += f"; {entry.compressed_rows_percent:.0f} % of the rows"
        if entry.saved_percent is not None and entry.bytes_before and entry.bytes_after:
            compressed += (
                f"; {megabytes(entry.bytes_before)} became {megabytes(entry.bytes_after)} "
                f"({entry.saved_percent:.0f} % saved)"
            )
        lines.append(Text(compressed))
    return f"{entry.schema}.{entry.name}", lines


def _aggregate(entry: ContinuousAggregate) -> tuple[str, list[Text]]:
    later = "left out" if entry.materialized_only else "aggregated when asked for"
    until = (
        "nothing materialized yet"
        if entry.materialized_until is None
        else f"materialized until {_time(entry.materialized_until)}"
    )
    lines = [
        Text(f"of {entry.source}; {megabytes(entry.total_bytes)}"),
        Text(f"{until}; later rows are {later}"),
    ]
    if entry.waiting:
        ranges = [
            f"{_time(span.first)} to {_time(span.last)}" for span in entry.waiting[:MOST_RANGES]
        ]
        more = len(entry.waiting) - len(ranges)
        lines.append(
            Text(f"waiting for a refresh: {', '.join(ranges)}{f', {more} more' if more else ''}")
        )
    return f"{entry.schema}.{entry.name}", lines


def _policy(entry: Policy) -> tuple[str, list[Text]]:
    config = [
        f"{name} {'none' if value is None else value}"
        for name, value in entry.config.items()
        if not name.endswith("hypertable_id")
    ]
    last = Text("has not run yet")
    if entry.last_run_at is not None:
        status = entry.last_status or "not finished"
        last = Text(f"last run {_time(entry.last_run_at)}: ")
        last.append(status, STATUS_STYLES.get(status, ""))
        last.append(f"; {entry.failure_count} of {entry.run_count} runs failed")
    if not entry.is_scheduled:
        last.append("; paused", "yellow")
    elif entry.next_start_at is not None:
        last.append(f"; next {_time(entry.next_start_at)}")
    lines = [Text(f"every {entry.schedule}, with {', '.join(config) or 'no settings'}"), last]
    if entry.last_status == "Failed" and entry.last_error:
        lines.append(Text(entry.last_error, "red"))
    return f"{entry.kind.replace('_', ' ')} of {entry.table} (job {entry.job_id})", lines


def _plain_table(info: Info) -> Table:
    table = Table(title="Largest plain tables", title_justify="left", box=box.SIMPLE)
    table.add_column("Table", overflow="fold")
    table.add_column("Rows", justify="right", no_wrap=True)
    table.add_column("Size", justify="right", no_wrap=True)
    for entry in info.largest_tables:
        rows = "?" if entry.row_count is None else f"{entry.row_count:,}"
        table.add_row(f"{entry.schema}.{entry.name}", rows, megabytes(entry.total_bytes))
    return table


def _time(value: datetime | date | int | None) -> str:
    if value is None:
        return "the beginning"
    return f"{value:%Y-%m-%d %H:%M}" if isinstance(value, datetime) else str(value)
