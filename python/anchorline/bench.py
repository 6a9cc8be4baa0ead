"""How fast the models build: measured on a demo farm in a database of its own."""

from __future__ import annotations

import json
import os
import re
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psycopg
from psycopg import sql

from anchorline import build
from anchorline.errors import AnchorlineError

if TYPE_CHECKING:
    from anchorline.bench_refresh import RefreshTime

ENGINE: Final = "int_growth_states"
"""The recursive model: everything else is a single pass."""

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
class EngineTime:
    """The recursion alone, beside writing its own result, in one run of one server.

    All times in s: medians of the repeats.
    """

    rows: int
    recursion_seconds: float
    copy_seconds: float

    @property
    def ratio(self) -> float:
        """Return how many times longer the recursion takes than to write its rows."""
        return self.recursion_seconds / self.copy_seconds if self.copy_seconds else float("nan")


@dataclass(frozen=True)
class BenchReport:
    """What `run_bench` measured."""

    farm: str
    load_seconds: float
    build_seconds: float
    models: list[ModelTime]
    engine: EngineTime
    refreshes: list[RefreshTime]


def run_bench(
    server: psycopg.Connection[Any],
    connection_parameters: Mapping[str, Any],
    *,
    batches: int,
    as_of: date,
    seed: int,
    readings: bool,
    repeats: int,
    tell: Callable[[str], None],
    keep: bool = False,
    refreshes: bool = False,
) -> BenchReport:
    """Load a demo farm into a database of its own, build the models, time the engine alone.

    ``server`` is an autocommit connection whose role may create databases;
    ``connection_parameters`` are the libpq parameters with which dbt reaches that server.
    With ``refreshes`` the farm's records are then changed, and the marts refreshed. The database
    is dropped at the end, unless ``keep`` says otherwise.
    """
    with scratch_database(server, connection_parameters, keep=keep, tell=tell) as parameters:
        tell(f"Loading a farm of {batches} batches")
        farm, load_seconds = load(parameters, batches, as_of, seed, readings)
        tell("Building the models (dbt build without tests)")
        with tempfile.TemporaryDirectory(prefix="anchorline-bench-") as folder:
            build_seconds = build_models(parameters, as_of, Path(folder))
            models = _model_times(Path(folder))
            engine_sql = _compiled(Path(folder), ENGINE)
        tell(f"Timing the engine alone, {repeats} times")
        with psycopg.connect(**parameters, autocommit=True) as connection:
            engine = _time_engine(connection, engine_sql, repeats)
        followed: list[RefreshTime] = []
        if refreshes:
            from anchorline.bench_refresh import measure_refreshes

            followed = measure_refreshes(pg_variables(parameters), as_of, tell)
    return BenchReport(farm, load_seconds, build_seconds, models, engine, followed)


@contextmanager
def scratch_database(
    server: Connection,
    parameters: Mapping[str, Any],
    *,
    keep: bool,
    tell: Callable[[str], None],
) -> Iterator[dict[str, Any]]:
    """Make a database on the server; yield the parameters for it, and drop it unless `keep`."""
    name = f"anchorline_bench_{os.getpid()}"
    owner = str(parameters["user"])
    try:
        server.execute(
            sql.SQL("create database {} owner {}").format(
                sql.Identifier(name), sql.Identifier(owner)
            )
        )
    except psycopg.errors.InsufficientPrivilege as error:
        raise AnchorlineError(
            f"The role {owner!r} may not create databases, and the benchmark works in one of its "
            "own. Grant it CREATEDB, or measure on the embedded database (--target embedded)."
        ) from error
    try:
        yield {**parameters, "dbname": name}
    finally:
        if keep:
            tell(f"The database {name} is kept.")
        else:
            server.execute(
                sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name))
            )


def load(
    parameters: Mapping[str, Any], batches: int, as_of: date, seed: int, readings: bool
) -> tuple[str, float]:
    """Load a demo farm; return what it is, and the seconds it took."""
    from anchorline.demo import load_farm

    began = time.monotonic()
    with psycopg.connect(**parameters) as connection:
        loaded = load_farm(connection, batches=batches, as_of=as_of, seed=seed, readings=readings)
    return loaded.parameters.describe(), time.monotonic() - began


def pg_variables(parameters: Mapping[str, Any]) -> dict[str, str]:
    """Return libpq parameters as the PG* variables that profiles.yml reads."""
    named = {
        "host": "PGHOST",
        "port": "PGPORT",
        "user": "PGUSER",
        "password": "PGPASSWORD",
        "passfile": "PGPASSFILE",
        "dbname": "PGDATABASE",
    }
    return {named[key]: str(value) for key, value in parameters.items() if key in named}


def build_models(parameters: Mapping[str, Any], as_of: date, folder: Path) -> float:
    """Build all models without tests, dbt's files in a folder; return the seconds it took."""
    began = time.monotonic()
    build.dbt_build(
        "prod",
        variables={"as_of_date": as_of.isoformat()},
        environment={
            **pg_variables(parameters),
            "DBT_TARGET_PATH": str(folder),
            "DBT_LOG_PATH": str(folder),
        },
        arguments=("--exclude-resource-types", "test", "unit_test"),
    )
    return time.monotonic() - began


def _model_times(folder: Path) -> list[ModelTime]:
    results = json.loads((folder / "run_results.json").read_text(encoding="utf-8"))["results"]
    times = []
    for result in results:
        kind, _, name = result["unique_id"].split(".", 2)
        if kind != "model":
            continue
        executed = next(t for t in result["timing"] if t["name"] == "execute")
        rows = result["adapter_response"].get("rows_affected")
        schema = re.sub(r'"', "", result["relation_name"] or "").split(".")[1]
        times.append(
            ModelTime(
                name=name,
                layer=schema.rpartition("_")[2],
                seconds=_seconds(executed["started_at"], executed["completed_at"]),
                rows=rows if isinstance(rows, int) and rows >= 0 else None,
            )
        )
    return times


def _seconds(started: str, completed: str) -> float:
    from datetime import datetime

    begin, end = (datetime.fromisoformat(t.replace("Z", "+00:00")) for t in (started, completed))
    return (end - begin).total_seconds()


def _compiled(folder: Path, model: str) -> str:
    """Return the select of a model as dbt has compiled it."""
    return next(folder.glob(f"compiled/anchorline/**/{model}.sql")).read_text(encoding="utf-8")


def _time_engine(connection: Connection, engine_sql: str, repeats: int) -> EngineTime:
    """Time the recursion and the bare copy of its result, in turns; no indexes in either."""
    connection.execute("set jit = off")
    recursion, copy = [], []
    rows = 0
    for _ in range(repeats):
        began = time.monotonic()
        rows = connection.execute(f"create table public.bench_recursion as {engine_sql}").rowcount
        recursion.append(time.monotonic() - began)
        began = time.monotonic()
        connection.execute("create table public.bench_copy as table public.bench_recursion")
        copy.append(time.monotonic() - began)
        connection.execute("drop table public.bench_recursion, public.bench_copy")
    return EngineTime(rows, statistics.median(recursion), statistics.median(copy))
