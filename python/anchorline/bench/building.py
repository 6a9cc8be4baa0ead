"""The whole build: what each model and all data tests take, what is read, and what stays."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import psycopg

from anchorline import build
from anchorline.bench.scratch import pg_variables

Connection = psycopg.Connection[Any]


@dataclass(frozen=True)
class ModelTime:
    """What one model took, in its own transaction: indexes and statistics included."""

    name: str
    layer: str
    seconds: float
    rows: int | None

    @property
    def rows_per_second(self) -> float | None:
        """Return the rows written per second; None for a view."""
        return self.rows / self.seconds if self.rows and self.seconds else None


@dataclass(frozen=True)
class BuildWork:
    """What a build consisted of, whatever the machine's speed.

    `test_seconds` is the sum over all data tests, of both sessions; `statement_count` counts what
    was sent to the server, `rows_read` by table the rows that it read for that, by index or not.
    """

    models: list[ModelTime]
    test_count: int
    test_seconds: float
    statement_count: int
    rows_read: Mapping[str, int]


@dataclass(frozen=True)
class LayerSize:
    """Rows of a layer's tables, and bytes of tables and of their indexes."""

    layer: str
    row_count: int
    table_bytes: int
    index_bytes: int


def run_build(
    parameters: Mapping[str, Any], as_of: date, folder: Path, *, tests: bool = True
) -> None:
    """Run `dbt build` without unit tests, dbt's files in a folder; with data tests if wanted."""
    left_out = ["unit_test"] if tests else ["test", "unit_test"]
    build.dbt_build(
        "prod",
        variables={"as_of_date": as_of.isoformat()},
        environment={
            **pg_variables(parameters),
            "DBT_TARGET_PATH": str(folder),
            "DBT_LOG_PATH": str(folder),
            "DBT_LOG_LEVEL_FILE": "debug",  # the statements are counted there
        },
        arguments=("--exclude-resource-types", *left_out),
    )


def read_build(target: Path, log: Path, rows_read: Mapping[str, int]) -> BuildWork:
    """Return what the one build consisted of that left its results and its log in two folders."""
    results = json.loads((target / "run_results.json").read_text(encoding="utf-8"))["results"]
    tests = [result for result in results if result["unique_id"].startswith("test.")]
    said = (log / "dbt.log").read_text(encoding="utf-8", errors="replace")
    return BuildWork(
        models=[_model_time(result) for result in results if _is_model(result)],
        test_count=len(tests),
        test_seconds=sum(result["execution_time"] for result in tests),
        statement_count=said.count("SQL status: "),
        rows_read=rows_read,
    )


class RowsRead:
    """Counts the rows that others read from the tables of a database, from now on.

    A session counts what it has read at its end at the latest: for up to 5 s that is waited for.
    """

    def __init__(self, connection: Connection) -> None:
        """Note how many have been read until now."""
        self._connection = connection
        self._before = self._counts()

    def by_table(self) -> dict[str, int]:
        """Return the rows read since, by the names of the tables that there are; none left out."""
        return {
            name: count - self._before.get(key, 0)
            for key, (name, count) in self._named_counts().items()
        }

    def _counts(self) -> dict[int, int]:
        return {key: count for key, (_, count) in self._named_counts().items()}

    def _named_counts(self) -> dict[int, tuple[str, int]]:
        waited_until = time.monotonic() + 5
        while (
            time.monotonic() < waited_until
            and self._connection.execute(
                "select from pg_catalog.pg_stat_activity "
                "where datname = current_database() and pid <> pg_backend_pid() "
                "and backend_type in ('client backend', 'parallel worker')"
            ).fetchall()
        ):
            time.sleep(0.05)
        rows = self._connection.execute(
            "select relid, relname, seq_tup_read + coalesce(idx_tup_fetch, 0) "
            "from pg_catalog.pg_stat_user_tables"
        ).fetchall()
        return {key: (name, int(count)) for key, name, count in rows}


def compiled(folder: Path, model: str) -> str:
    """Return the select of a model as dbt has compiled it."""
    return next(folder.glob(f"compiled/anchorline/**/{model}.sql")).read_text(encoding="utf-8")


def layer_sizes(connection: Connection) -> list[LayerSize]:
    """Return what the layers hold: the raw tables, and the schemas that dbt makes."""
    rows = connection.execute(
        """
        select
            case
                when namespaces.nspname = 'public' then 'raw'
                else replace(namespaces.nspname, 'anchorline_', '')
            end as layer,
            sum(greatest(tables.reltuples, 0))::bigint as row_count,
            sum(pg_table_size(tables.oid))::bigint as table_bytes,
            sum(pg_indexes_size(tables.oid))::bigint as index_bytes
        from pg_catalog.pg_class as tables
        inner join pg_catalog.pg_namespace as namespaces on tables.relnamespace = namespaces.oid
        where
            tables.relkind = 'r'
            and (namespaces.nspname = 'public' or namespaces.nspname like 'anchorline\\_%')
        group by 1
        order by table_bytes desc
        """
    ).fetchall()
    return [LayerSize(*row) for row in rows]


def _is_model(result: Mapping[str, Any]) -> bool:
    return str(result["unique_id"]).startswith("model.")


def _model_time(result: Mapping[str, Any]) -> ModelTime:
    executed = next(t for t in result["timing"] if t["name"] == "execute")
    rows = result["adapter_response"].get("rows_affected")
    schema = str(result["relation_name"]).replace('"', "").split(".")[1]
    return ModelTime(
        name=result["unique_id"].split(".", 2)[2],
        layer=schema.rpartition("_")[2],
        seconds=_seconds(executed["started_at"], executed["completed_at"]),
        rows=rows if isinstance(rows, int) and rows >= 0 else None,
    )


def _seconds(started: str, completed: str) -> float:
    begin, end = (datetime.fromisoformat(t.replace("Z", "+00:00")) for t in (started, completed))
    return (end - begin).total_seconds()
