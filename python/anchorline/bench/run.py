"""One run of the benchmark, part by part; what is measured is told as it comes."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Final

import psutil
import psycopg

from anchorline.bench.building import (
    BuildWork,
    LayerSize,
    RowsRead,
    compiled,
    layer_sizes,
    read_build,
    run_build,
)
from anchorline.bench.questions import QuestionTime, measure_questions
from anchorline.bench.refreshes import RefreshTime, measure_refreshes
from anchorline.bench.scratch import (
    FarmSize,
    LoadedFarm,
    Tell,
    load,
    pg_variables,
    scratch_database,
)
from anchorline.bench.usage import Meter, Usage
from anchorline.bench.yardsticks import (
    ENGINE,
    EngineTime,
    FloorTime,
    LoopTime,
    time_engine,
    time_floor,
    time_loop,
)
from anchorline.errors import AnchorlineError

Connection = psycopg.Connection[Any]

PARTS: Final = ("engine", "floor", "loop", "questions", "validate", "verify", "refreshes")
"""What can be measured beside the build, in this order; refreshes change the records."""

_SETTINGS: Final = (
    "shared_buffers",
    "work_mem",
    "maintenance_work_mem",
    "effective_cache_size",
    "max_parallel_workers_per_gather",
    "jit",
    "synchronous_commit",
    "wal_level",
)


@dataclass(frozen=True)
class Machine:
    """Where it was measured: cores, memory in bytes, versions, and the server's settings."""

    cores: int
    memory_bytes: int
    system: str
    python: str
    dbt: str
    server: str
    settings: Mapping[str, str]


@dataclass
class BenchReport:
    """What was measured; None or empty is what was not asked for."""

    machine: Machine
    farm: LoadedFarm
    batches: int
    load: Usage
    build: Usage = field(default_factory=Usage)
    work: BuildWork | None = None
    sizes: list[LayerSize] = field(default_factory=list)
    engine: EngineTime | None = None
    floor: FloorTime | None = None
    loop: LoopTime | None = None
    questions: list[QuestionTime] = field(default_factory=list)
    checks: dict[str, Usage] = field(default_factory=dict)
    refreshes: list[RefreshTime] = field(default_factory=list)


def run_bench(
    server: Connection,
    connection_parameters: Mapping[str, Any],
    *,
    size: FarmSize,
    as_of: date,
    seed: int,
    repeats: int,
    parts: Collection[str] = PARTS,
    tell: Tell,
    on_part: Callable[[BenchReport], object] = lambda report: None,
    keep: bool = False,
) -> BenchReport:
    """Load a demo farm into a database of its own, build it, and measure what is asked for.

    ``server`` is an autocommit connection whose role may create databases;
    ``connection_parameters`` are the libpq parameters with which dbt reaches that server;
    ``on_part`` gets the report after each part. The database is dropped at the end, unless
    ``keep`` says otherwise. Raises AnchorlineError where a part fails.
    """
    with (
        scratch_database(server, connection_parameters, keep=keep, tell=tell) as parameters,
        tempfile.TemporaryDirectory(prefix="anchorline-bench-") as folder_name,
    ):
        folder = Path(folder_name)
        meter = Meter(server)
        tell(f"Loading a farm of {size.batches} batches")
        with meter.phase() as loading:
            farm = load(parameters, size, as_of, seed)
        report = BenchReport(_machine(server), farm, size.batches, loading)
        on_part(report)

        def on_refresh(refresh: RefreshTime) -> None:
            report.refreshes.append(refresh)
            on_part(report)

        tell("Building: dbt build without unit tests")
        with psycopg.connect(**parameters, autocommit=True) as connection:
            rows_read = RowsRead(connection)
            with meter.phase(started_only=True) as report.build:
                run_build(parameters, as_of, folder)
            report.work = read_build(folder, folder, rows_read.by_table())
            report.sizes = layer_sizes(connection)
            on_part(report)
            for part in (part for part in PARTS if part in parts):
                tell(f"Measuring: {part}")
                if part == "engine":
                    report.engine = time_engine(connection, compiled(folder, ENGINE), repeats)
                elif part == "floor":
                    report.floor = time_floor(connection)
                elif part == "loop":
                    report.loop = time_loop(connection)
                elif part == "questions":
                    report.questions = measure_questions(parameters, as_of)
                elif part in ("validate", "verify"):
                    with meter.phase(started_only=True) as report.checks[part]:
                        _check(part, parameters, as_of, folder)
                else:
                    measure_refreshes(parameters, as_of, meter, tell, on_refresh)
                on_part(report)
    return report


def _check(command: str, parameters: Mapping[str, Any], as_of: date, folder: Path) -> None:
    arguments = [command, "--target", "prod", "--as-of", as_of.isoformat()]
    if command == "validate":
        arguments += ["--suite", "marts", "--out", str(folder / "validation")]
    done = subprocess.run(
        [sys.executable, "-m", "anchorline", *arguments],
        env={**os.environ, **pg_variables(parameters)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        raise AnchorlineError(
            f"`anchorline {command}` found the farm wrong, or failed.",
            details=done.stdout[-4000:] + done.stderr[-4000:],
        )


def _machine(server: Connection) -> Machine:
    shown = {name: server.execute(f"show {name}".encode()).fetchone() for name in _SETTINGS}
    return Machine(
        cores=psutil.cpu_count() or 0,
        memory_bytes=psutil.virtual_memory().total,
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=platform.python_version(),
        dbt=importlib.metadata.version("dbt-core"),
        server=server.info.parameter_status("server_version") or "",
        settings={name: row[0] for name, row in shown.items() if row},
    )
