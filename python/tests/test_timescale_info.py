"""`anchorline db info` without TimescaleDB: on plain PostgreSQL, before and after a build."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner
from conftest import BuiltDemo

from anchorline.cli import main
from anchorline.cli.db_info import megabytes, print_info
from anchorline.database import EmbeddedServer
from anchorline.errors import AnchorlineError
from anchorline.raw.schema import create_raw_tables
from anchorline.timescale import info as module
from anchorline.timescale.extension import Extension, require_extension
from anchorline.timescale.info import (
    ContinuousAggregate,
    Hypertable,
    Info,
    Policy,
    WaitingRange,
    gather,
)

Use = Callable[[str], None]


def run(*arguments: str) -> str:
    result = CliRunner().invoke(main, ["db", "info", "--target", "prod", *arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_empty_database_is_told_what_fills_it(
    make_database: Callable[[], str], use_database: Use
) -> None:
    use_database(make_database())
    text = run()
    assert "PostgreSQL 1" in text
    assert "`dbt build` makes them" in " ".join(text.split())
    found = json.loads(run("--json"))
    assert found["hypertables"] == found["policies"] == found["continuous_aggregates"] == []
    assert found["largest_tables"] == []
    assert found["extension"]["state"] == "absent"


def test_before_the_first_build_raw_tables_are_listed(
    make_database: Callable[[], str], use_database: Use
) -> None:
    url = make_database()
    with psycopg.connect(url) as connection:
        create_raw_tables(connection, "public")
        connection.execute("create table unlike (one text)")
        connection.execute(
            "insert into unlike select repeat(md5(n::text), 40) from generate_series(1, 2000) as n"
        )
        connection.execute("analyze unlike")
    use_database(url)
    tables = json.loads(run("--json"))["largest_tables"]
    assert len(tables) == module.LARGEST_TABLES
    assert (tables[0]["schema"], tables[0]["name"]) == ("public", "unlike")
    assert tables[0]["row_count"] == 2000
    sizes = [table["total_bytes"] for table in tables]
    assert sizes == sorted(sizes, reverse=True)
    assert "public.unlike" in run()
    assert json.loads(run("--json", "--raw-schema", "elsewhere"))["largest_tables"] == []


def test_built_marts_are_listed_for_any_role(built_demo: BuiltDemo, server: EmbeddedServer) -> None:
    database = str(psycopg.conninfo.conninfo_to_dict(built_demo.url)["dbname"])
    with server.admin_connection(database) as connection:
        connection.execute("set role pg_signal_backend")  # has no right on any table
        with pytest.raises(psycopg.errors.InsufficientPrivilege), connection.transaction():
            connection.execute("select from anchorline_marts.daily_assignment_states limit 1")
        found = gather(connection, ["anchorline_marts", "anchorline_intermediate"])
        row = connection.execute(
            "select pg_total_relation_size(oid) from pg_class "
            "where relname = 'daily_assignment_states' and relkind = 'r'"
        ).fetchone()
    sizes = {f"{table.schema}.{table.name}": table.total_bytes for table in found.largest_tables}
    assert row == (sizes["anchorline_marts.daily_assignment_states"],)
    assert found.database_bytes is not None
    assert found.database_bytes > sum(sizes.values())


def test_operations_say_that_the_extension_is_missing(
    make_database: Callable[[], str], use_database: Use
) -> None:
    url = make_database()
    use_database(url)
    for command in ("readings-hypertable", "weekly-aggregates"):
        result = CliRunner().invoke(main, ["db", command, "--target", "prod"])
        assert result.exit_code == 1
        assert "has no TimescaleDB" in result.stderr
        assert "nothing was changed" in result.stderr
    with psycopg.connect(url) as connection, pytest.raises(AnchorlineError, match="Install it"):
        require_extension(connection)


def states(**changes: Any) -> Hypertable:
    values: dict[str, Any] = {
        "schema": "anchorline_marts",
        "name": "daily_assignment_states",
        "time_column": "state_date",
        "chunk_interval": "91 days",
        "chunk_count": 4,
        "compressed_chunk_count": 3,
        "partial_chunk_count": 1,
        "can_compress": True,
        "row_count": 1000,
        "compressed_row_count": 750,
        "bytes_before": 8_000_000,
        "bytes_after": 1_000_000,
        "total_bytes": 2_500_000,
        **changes,
    }
    return Hypertable(**values)


def test_shares_are_of_what_was_compressed() -> None:
    assert states().saved_percent == 87.5
    assert states().compressed_rows_percent == 75
    untouched = states(bytes_before=None, bytes_after=None, compressed_row_count=0)
    assert untouched.saved_percent is None
    assert untouched.compressed_rows_percent == 0
    assert states(row_count=None).compressed_rows_percent is None


def test_times_are_read_as_the_catalog_counts_them() -> None:
    midnight = 1_769_904_000_000_000
    assert module._time(midnight, "timestamp with time zone") == datetime(2026, 2, 1, tzinfo=UTC)
    assert module._time(midnight, "date") == date(2026, 2, 1)
    assert module._time(42, "bigint") == 42
    for infinity in (-(2**63), 2**63 - 1, -210_866_803_200_000_000):
        assert module._time(infinity, "date") is None
    assert module._time(None, "date") is None


def test_ranges_that_touch_are_one() -> None:
    assert module._merged([(20, 29), (0, 9), (10, 12), (5, 11), (31, 31)]) == [
        (0, 12),
        (20, 29),
        (31, 31),
    ]


def test_everything_is_said_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    ran = datetime(2026, 1, 31, 12, 30, tzinfo=UTC)
    aggregate = ContinuousAggregate(
        schema="anchorline_marts",
        name="daily_batch_weekly",
        source="anchorline_marts.daily_assignment_states",
        materialized_only=False,
        materialized_until=date(2026, 1, 19),
        waiting=(
            WaitingRange(None, date(2024, 5, 5)),
            WaitingRange(date(2025, 1, 6), date(2025, 1, 8)),
        ),
        chunk_count=2,
        total_bytes=900,
    )
    policy = Policy(
        job_id=1000,
        kind="compression",
        table="anchorline_marts.daily_assignment_states",
        schedule="12:00:00",
        is_scheduled=True,
        config={"hypertable_id": 1, "compress_after": "30 days"},
        last_run_at=ran,
        last_status="Failed",
        next_start_at=ran,
        run_count=5,
        failure_count=1,
        last_error="[disk] is full",
    )
    print_info(
        Info(
            server_version="17.6",
            database="farm",
            database_bytes=3_200_000_000,
            extension=Extension("installed", "2.28.3", "community", "public", "2.29.0"),
            schemas=("anchorline_marts",),
            hypertables=(states(), states(name="other", can_compress=False, row_count=None)),
            continuous_aggregates=(aggregate,),
            policies=(policy,),
            largest_tables=(),
        )
    )
    text = " ".join(capsys.readouterr().out.split())
    for expected in (
        "database farm (3.20 GB)",
        "timescaledb 2.28.3, community edition (the server has 2.29.0)",
        "4 chunks of 91 days by state_date; 1,000 rows, 2.5 MB",
        "3 chunks compressed, 1 of them with rows changed since; 75 % of the rows; "
        "8.0 MB became 1.0 MB (88 % saved)",
        "rows not counted yet",
        "materialized until 2026-01-19; later rows are aggregated when asked for",
        "waiting for a refresh: the beginning to 2024-05-05, 2025-01-06 to 2025-01-08",
        "compression of anchorline_marts.daily_assignment_states (job 1000)",
        "every 12:00:00, with compress_after 30 days",
        "last run 2026-01-31 12:30: Failed; 1 of 5 runs failed; next 2026-01-31 12:30",
        "[disk] is full",
    ):
        assert expected in text


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 kB"), (82_000, "82 kB"), (1.5e6, "1.5 MB"), (2e9, "2.00 GB")]
)
def test_sizes_are_readable(size: int, text: str) -> None:
    assert megabytes(size) == text
