"""A throw-away PostgreSQL for all tests: the embedded server, in a temporary folder.

The processes that share the tests share the server too, and the demo farm that is built on it.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import date
from itertools import count
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, Phase
from hypothesis import settings as hypothesis_settings
from psycopg import sql
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

from anchorline import console
from anchorline.bench.building import BuildWork, RowsRead, read_build
from anchorline.build import dbt_build
from anchorline.cli.demo import load_demo
from anchorline.database import EmbeddedServer
from anchorline.demo import load_farm
from anchorline.expectations.validation import Validator
from anchorline.metabase.compiled import PARSED
from devtools.compiled_models import (
    CompiledProject,
    Dbt,
    ParsedProject,
    compile_project,
    prepare_database,
)
from devtools.farm_comparison import SETTINGS, FarmBench

AS_OF = date(2025, 9, 30)
"""The last day of the demo farm that is built for the tests."""
DEMO_BATCHES = 6
"""As few as have all that the tests ask for."""
_VARS = {"as_of_date": AS_OF.isoformat()}

_VARIABLES = (
    "ANCHORLINE_DATA_DIR",
    "ANCHORLINE_DB_HOST",
    "ANCHORLINE_DB_PORT",
    "ANCHORLINE_PROJECT_DIR",
    "DBT_TARGET",
    "PGDATABASE",
    "PGHOST",
    "PGHOSTADDR",
    "PGOPTIONS",
    "PGPASSFILE",
    "PGPASSWORD",
    "PGPORT",
    "PGSERVICE",
    "PGSSLMODE",
    "PGUSER",
)

SERVER_FOLDER = pytest.StashKey[Path]()

SMALL = "small"
"""The database of the small demo farm."""

FARMS = 108
"""How many random farms Hypothesis draws in every run, the same ones each time."""

ON_SMALL_FARMS = (
    "test_mutation_check",
    "test_random_farms",
    "test_regression_farms",
    "test_smoothing_exact",
)
"""Files that use the same compiled models on farms of a few rows."""

LONGEST = (
    "test_built_demo",
    "test_refresh_equality",
    "farms",
    "test_expectations",
    "test_report_page",
    "test_verify",
    "test_demo_farm",
    "test_roles",
    "test_events",
    "test_monitoring_marts",
    "test_calibration",
)
"""Groups of tests that take a quarter of a minute and more: they begin first, in this order.

The first builds the demo farm; the next two need none, so that nobody waits until it is there.
"""


ON_THE_SMALL_DEMO = (
    "test_built_demo",
    "test_demo_build",
    "test_metabase_questions",
    "test_planning",
    "test_refresh",
    "test_workload",
)
"""Files that use the small demo farm, built once."""

ON_THE_VALIDATOR = ("test_expectations", "test_raw_expectations")
"""Files that use one process of Great Expectations."""


def group(file: str) -> str:
    """Return the group of a test file: one process does it all, as its fixtures serve it whole."""
    name = Path(file).stem
    if name in ON_SMALL_FARMS:
        return "farms"
    for files in (ON_THE_SMALL_DEMO, ON_THE_VALIDATOR):
        if name in files:
            return files[0]
    return name


class ByGroup(LoadScopeScheduling):
    """Hands out whole groups, in the order in which they were collected.

    xdist's own marker for groups has no effect with this pytest, and `loadfile` takes the files
    with the most tests first, which are not those that take longest.
    """

    def _split_scope(self, nodeid: str) -> str:
        return group(nodeid.split("::")[0])


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByGroup:
    config.option.loadscopereorder = False
    return ByGroup(config, log)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: WorkerController) -> None:
    """Tell a test process where the server of all is."""
    node.workerinput["server_folder"] = str(node.config.stash[SERVER_FOLDER])


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--farms", type=int, help=f"draw so many random farms, other ones each time (not {FARMS})"
    )


def pytest_configure(config: pytest.Config) -> None:
    given = getattr(config, "workerinput", {}).get("server_folder")
    # a short path with a blank in it
    folder = given or tempfile.mkdtemp(prefix="anchorline test ")
    config.stash[SERVER_FOLDER] = Path(folder)
    farms = config.getoption("--farms")
    hypothesis_settings.register_profile(
        "farms",
        max_examples=max(1, (farms or FARMS) // len(SETTINGS)),
        derandomize=farms is None,
        database=None,
        deadline=None,
        print_blob=True,
        # a farm that fails is made smaller row by row: see devtools.farm_comparison
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    hypothesis_settings.load_profile("farms")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the server and its folder, once all test processes have ended."""
    if not hasattr(config, "workerinput"):
        _server(config).remove()
        shutil.rmtree(config.stash[SERVER_FOLDER], ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the groups that take longest, so that none is left for one process at the end."""
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(group(item.path.name), len(places)))


@pytest.fixture(autouse=True, scope="session")
def _interruptible() -> None:
    """Let tests interrupt what they start, also where the caller has the whole run ignore it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True, scope="session")
def _own_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the databases that the caller's environment names, and his artifacts, out of the tests.

    Each process keeps its own artifacts: what dbt has parsed for one database serves no other.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name in _VARIABLES:
            patch.delenv(name, raising=False)
        patch.setenv("DBT_TARGET_PATH", str(tmp_path_factory.mktemp("target")))
        # workers that share the tests are given the width of a terminal, and have none
        patch.delenv("COLUMNS", raising=False)
        console.out.width = 120
        yield


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _server(config: pytest.Config) -> EmbeddedServer:
    return EmbeddedServer(config.stash[SERVER_FOLDER] / "data", durable=False)


@pytest.fixture(scope="session")
def server(pytestconfig: pytest.Config) -> EmbeddedServer:
    """A running embedded server that is gone after the tests, the same in all test processes."""
    server = _server(pytestconfig)
    server.start()
    return server


@pytest.fixture(scope="session")
def make_database(server: EmbeddedServer, worker_id: str) -> Callable[[], str]:
    """Make a fresh, empty database per call; returns its libpq URL (owner `anchorline`)."""
    numbers = count(1)

    def make() -> str:
        return _create_database(server, f"test_{worker_id}_{next(numbers)}", "template1")

    return make


@pytest.fixture(scope="session")
def copy_database(server: EmbeddedServer, worker_id: str) -> Callable[[str], str]:
    """Copy a database as it was set aside; else itself, which nobody may be connected to then."""
    numbers = count(1)

    def copy(url: str) -> str:
        original = str(psycopg.conninfo.conninfo_to_dict(url)["dbname"])
        with server.admin_connection() as connection:
            aside = connection.execute(
                "select datname from pg_database where datname = %s", (set_aside(original),)
            ).fetchone()
        template = aside[0] if aside else original
        return _create_database(server, f"copy_{worker_id}_{next(numbers)}", template)

    return copy


def set_aside(name: str) -> str:
    """Return the name of the database that nobody connects to, from which copies are made."""
    return f"{name}_built"


def _create_database(server: EmbeddedServer, name: str, template: str) -> str:
    # a farm is copied in half the time file by file; an empty database is, page by page
    strategy = "wal_log" if template == "template1" else "file_copy"
    with server.admin_connection() as connection:
        connection.execute(
            sql.SQL("create database {} template {} strategy {} owner anchorline").format(
                sql.Identifier(name), sql.Identifier(template), sql.Identifier(strategy)
            )
        )
    return server.url(name, with_password=True)


@dataclass(frozen=True)
class SmallFarms:
    """A database for small farms, and the project as it was compiled for it, by setting."""

    dbt: Dbt
    folder: Path
    projects: dict[str, CompiledProject]


@pytest.fixture(scope="session")
def small_farms(
    make_database: Callable[[], str],
    dbt_on: Callable[[str], Dbt],
    tmp_path_factory: pytest.TempPathFactory,
) -> SmallFarms:
    """Prepare a database for small farms, with the first setting; others are copies of it."""
    folder = tmp_path_factory.mktemp("compiled")
    dbt = dbt_on(make_database())
    first = next(iter(SETTINGS))
    project = prepare_database(dbt, folder / "first", variables=SETTINGS[first].all_variables)
    return SmallFarms(dbt, folder, {first: project})


@pytest.fixture(scope="session")
def farm_bench(
    small_farms: SmallFarms, copy_database: Callable[[str], str]
) -> Iterator[Callable[[str], FarmBench]]:
    """Give a bench for small farms per setting; each has a database of its own, made when asked."""
    dbt, projects = small_farms.dbt, small_farms.projects
    benches: dict[str, FarmBench] = {}

    def bench(name: str) -> FarmBench:
        if name not in benches:
            setting = SETTINGS[name]
            if name not in projects:
                projects[name] = compile_project(
                    dbt, small_farms.folder / name, variables=setting.all_variables
                )
            connection = psycopg.connect(copy_database(dbt.url), autocommit=True)
            benches[name] = FarmBench.prepare(connection, projects[name], setting)
        return benches[name]

    yield bench
    for bench_of_setting in benches.values():
        bench_of_setting.connection.close()


@pytest.fixture(scope="session")
def database_environment() -> Callable[[str], dict[str, str]]:
    """Turn a libpq URL into the variables that dbt's targets dev and prod read."""

    def environment(url: str) -> dict[str, str]:
        parameters = psycopg.conninfo.conninfo_to_dict(url)
        return {
            "PGHOST": str(parameters["host"]),
            "PGPORT": str(parameters["port"]),
            "PGUSER": str(parameters["user"]),
            "PGPASSWORD": str(parameters["password"]),
            "PGDATABASE": str(parameters["dbname"]),
        }

    return environment


@pytest.fixture
def use_database(
    monkeypatch: pytest.MonkeyPatch,
    database_environment: Callable[[str], dict[str, str]],
) -> Callable[[str], None]:
    """Point the PG* variables at a database, for commands with `--target prod`."""

    def use(url: str) -> None:
        for name, value in database_environment(url).items():
            monkeypatch.setenv(name, value)

    return use


@dataclass(frozen=True)
class BuiltDemo:
    """A database with the demo farm and its marts, and the folder of dbt's artifacts."""

    url: str
    target_folder: Path
    environment: dict[str, str]


@dataclass(frozen=True)
class SmallDemo(BuiltDemo):
    """One whose build was watched: what it did, and how many rows each table has."""

    work: BuildWork
    row_counts: dict[str, int]


@pytest.fixture(scope="session")
def parsed_project(server: EmbeddedServer) -> ParsedProject:
    """The project, parsed once for all processes: see `devtools.compiled_models.ParsedProject`.

    Parsed for the small farm's database, whose builds in processes of their own find it, too.
    """
    file = _parsed_folder(server) / "manifest"
    with _alone(server, "parsed project"):
        if not file.exists():
            dbt = Dbt(server.url(SMALL, with_password=True))
            parsed = ParsedProject.parse(dbt, file.parent, variables=_VARS)
            file.write_bytes(parsed.pickled)
    return ParsedProject(file.read_bytes())


@pytest.fixture(scope="session")
def built_demo(
    server: EmbeddedServer,
    dbt_on: Callable[[str], Dbt],
    database_environment: Callable[[str], dict[str, str]],
) -> BuiltDemo:
    """The demo farm and all that dbt builds and tests on it, once. Tests only read it."""
    folder = server.folder.parent / "demo"
    url = server.url("demo", with_password=True)
    demo = BuiltDemo(url, folder / "target", _artifacts(folder) | database_environment(url))
    with _alone(server, "demo"):
        if not (folder / "is_begun").exists():
            dbt = dbt_on(url)
            folder.mkdir()
            (folder / "is_begun").touch()
            _create_database(server, "demo", "template1")
            with psycopg.connect(url) as connection:
                # one reading a day: half of the farm's rows are readings, of four or six
                load_farm(connection, batches=DEMO_BATCHES, as_of=AS_OF, readings_per_day=1)
            dbt.run("build", demo.target_folder, variables=_VARS, with_json=True)
            _create_database(server, set_aside("demo"), "demo")
            (folder / "is_built").touch()
        assert (folder / "is_built").exists(), "the demo farm could not be built"
    return demo


def _parsed_folder(server: EmbeddedServer) -> Path:
    return server.folder.parent / "parsed"


@contextmanager
def _alone(server: EmbeddedServer, what: str) -> Iterator[None]:
    """Let the other processes of the tests wait, before they do the same."""
    with server.admin_connection() as connection:
        connection.execute("select pg_advisory_lock(hashtext(%s))", (what,))
        yield


@pytest.fixture(scope="session")
def dbt_on(parsed_project: ParsedProject) -> Callable[[str], Dbt]:
    """Give dbt, in this process, for a database; its project is parsed already."""

    def dbt(url: str) -> Dbt:
        return Dbt(url, parsed_project.of(str(psycopg.conninfo.conninfo_to_dict(url)["dbname"])))

    return dbt


@pytest.fixture(scope="session")
def small_demo(
    server: EmbeddedServer,
    parsed_project: ParsedProject,
    database_environment: Callable[[str], dict[str, str]],
    tmp_path_factory: pytest.TempPathFactory,
) -> SmallDemo:
    """A farm of three batches, built and not tested, whose database is set aside."""
    url, folder = _create_database(server, SMALL, "template1"), tmp_path_factory.mktemp("small")
    demo = BuiltDemo(url, folder / "target", _artifacts(folder) | database_environment(url))
    demo.target_folder.mkdir()
    shutil.copy(_parsed_folder(server) / PARSED, demo.target_folder)
    _load(demo, batches=3)
    with psycopg.connect(url, autocommit=True) as connection:
        rows_read = RowsRead(connection)
        dbt_build(
            "prod",
            variables=_VARS,
            environment=demo.environment,
            arguments=("--exclude-resource-types", "test", "unit_test"),
        )
        work = read_build(folder / "target", folder / "logs", rows_read.by_table())
        row_counts = dict(
            connection.execute("select relname, n_live_tup from pg_stat_user_tables").fetchall()
        )
    with server.admin_connection() as connection:
        connection.execute(f"alter database {SMALL} rename to {set_aside(SMALL)}")
    return SmallDemo(demo.url, demo.target_folder, demo.environment, work, row_counts)


@pytest.fixture
def small_copy(server: EmbeddedServer, small_demo: BuiltDemo) -> Iterator[BuiltDemo]:
    """A copy of the small farm for one test, in a database of the name that it was built in.

    So dbt, which reads the whole project again for a database of another name, need not.
    """
    with small_again(server):
        yield small_demo


@pytest.fixture
def small_empty(server: EmbeddedServer, small_demo: BuiltDemo) -> Iterator[BuiltDemo]:
    """An empty database of that name, for one test."""
    with database_again(server, SMALL, "template1"):
        yield small_demo


def small_again(server: EmbeddedServer) -> AbstractContextManager[str]:
    """Make the small farm's database again, as it was set aside, for a block."""
    return database_again(server, SMALL, set_aside(SMALL))


@pytest.fixture(scope="session")
def validator() -> Iterator[Validator]:
    """One process for all tests: the import of Great Expectations costs more than what they ask.

    It stays as long as the databases that it validates have one name: see `validated`.
    """
    with Validator("prod") as validator:
        yield validator


@pytest.fixture(scope="session")
def validated(server: EmbeddedServer) -> Callable[[str], AbstractContextManager[str]]:
    """Copy a database for a block, under the name of those that are validated."""

    def copied(original: str) -> AbstractContextManager[str]:
        return database_again(server, "validated", original)

    return copied


@contextmanager
def database_again(server: EmbeddedServer, name: str, template: str) -> Iterator[str]:
    """Make a database of a name that is used again and again, for a block; give its libpq URL."""
    url = _create_database(server, name, template)
    try:
        yield url
    finally:
        with server.admin_connection() as connection:
            connection.execute(f"drop database {name} with (force)")


def _artifacts(folder: Path) -> dict[str, str]:
    return {"DBT_TARGET_PATH": str(folder / "target"), "DBT_LOG_PATH": str(folder / "logs")}


def _load(demo: BuiltDemo, *, batches: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in demo.environment.items():
            patch.setenv(name, value)
        load_demo("prod", batches=batches, as_of=AS_OF, seed=1)


def pytest_report_header() -> str:
    return f"user: {'root' if os.geteuid() == 0 else os.geteuid()}"
