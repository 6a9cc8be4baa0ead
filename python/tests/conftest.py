"""A throw-away PostgreSQL for all tests: the embedded server, in a temporary folder."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from itertools import count
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, Phase
from hypothesis import settings as hypothesis_settings

from anchorline import console
from anchorline.build import dbt_build
from anchorline.cli.demo import load_demo
from anchorline.database import EmbeddedServer
from devtools.compiled_models import compile_project, prepare_database
from devtools.farm_comparison import SETTINGS, FarmBench

AS_OF = date(2025, 9, 30)
"""The last day of the demo farm that is built for the tests."""

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


FARMS = 99
"""How many random farms Hypothesis draws in every run, the same ones each time."""


LONGEST = {
    group: place
    for place, group in enumerate(
        (
            "farms",
            "test_built_demo",
            "test_expectations",
            "test_refresh",
            "test_refresh_equality",
            "test_roles",
            "test_monitoring_marts",
            "test_restart",
            "test_raw_expectations",
            "test_demo_build",
        )
    )
}
"""Groups of tests that take a quarter of a minute and more, the longest first."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--farms", type=int, help=f"draw so many random farms, other ones each time (not {FARMS})"
    )


def pytest_configure(config: pytest.Config) -> None:
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


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let one process do a whole file, and what needs the same compiled models.

    The longest come first, so that no process is left with one of them at the end.
    """

    def group(item: pytest.Item) -> str:
        farms = ("test_random_farms", "test_regression_farms")
        return "farms" if item.path.stem in farms else item.path.stem

    items.sort(key=lambda item: LONGEST.get(group(item), len(LONGEST)))
    for item in items:
        item.add_marker(pytest.mark.xdist_group(group(item)))


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


@pytest.fixture(scope="session")
def server() -> Iterator[EmbeddedServer]:
    """A running embedded server that is gone after the tests."""
    # a short path with a blank in it
    folder = Path(tempfile.mkdtemp(prefix="anchorline test "))
    server = EmbeddedServer(folder / "data", port=free_port(), durable=False)
    try:
        server.start()
        yield server
    finally:
        server.remove()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def make_database(server: EmbeddedServer) -> Callable[[], str]:
    """Make a fresh, empty database per call; returns its libpq URL (owner `anchorline`)."""
    numbers = count(1)

    def make() -> str:
        name = f"test_{next(numbers)}"
        with server.admin_connection() as connection:
            connection.execute(f"create database {name} owner anchorline")
        return server.url(name, with_password=True)

    return make


@pytest.fixture(scope="session")
def copy_database(server: EmbeddedServer) -> Callable[[str], str]:
    """Copy a database, which nobody may be connected to; returns the copy's URL."""
    numbers = count(1)

    def copy(url: str) -> str:
        name = f"copy_{next(numbers)}"
        original = psycopg.conninfo.conninfo_to_dict(url)["dbname"]
        with server.admin_connection() as connection:
            connection.execute(f"create database {name} template {original} owner anchorline")
        return server.url(name, with_password=True)

    return copy


@pytest.fixture(scope="session")
def farm_bench(
    make_database: Callable[[], str],
    copy_database: Callable[[str], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[str], FarmBench]]:
    """Give a bench for small farms per setting; each has a database of its own, made when asked."""
    urls: dict[str, str] = {}
    benches: dict[str, FarmBench] = {}

    def bench(name: str) -> FarmBench:
        if name in benches:
            return benches[name]
        variables = SETTINGS[name].all_variables
        folder = tmp_path_factory.mktemp("compiled")
        if urls:
            project = compile_project(urls[name], folder, variables=variables)
        else:
            url = make_database()
            project = prepare_database(url, folder, variables=variables)
            # as long as nobody is connected to it
            urls.update({other: copy_database(url) for other in SETTINGS if other != name})
            urls[name] = url
        connection = psycopg.connect(urls[name], autocommit=True)
        benches[name] = FarmBench.prepare(connection, project, SETTINGS[name])
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


@pytest.fixture(scope="session")
def built_demo(
    make_database: Callable[[], str],
    database_environment: Callable[[str], dict[str, str]],
    tmp_path_factory: pytest.TempPathFactory,
) -> BuiltDemo:
    """The demo farm and all that dbt builds and tests on it, once. Tests only read it."""
    url = make_database()
    environment = database_environment(url)
    return _build(
        url, environment, tmp_path_factory, batches=8, is_tested=_is_first(tmp_path_factory)
    )


@pytest.fixture(scope="session")
def small_demo(
    server: EmbeddedServer,
    make_database: Callable[[], str],
    database_environment: Callable[[str], dict[str, str]],
    tmp_path_factory: pytest.TempPathFactory,
) -> BuiltDemo:
    """A farm of two batches, built and not tested, whose database is set aside as `.._built`."""
    url = make_database()
    demo = _build(url, database_environment(url), tmp_path_factory, batches=2, is_tested=False)
    name = demo.environment["PGDATABASE"]
    with server.admin_connection() as connection:
        connection.execute(f"alter database {name} rename to {name}_built")
    return demo


@pytest.fixture
def small_copy(server: EmbeddedServer, small_demo: BuiltDemo) -> Iterator[BuiltDemo]:
    """A copy of the small farm for one test, in a database of the name that it was built in.

    So dbt, which reads the whole project again for a database of another name, need not.
    """
    with _database_again(server, small_demo, f"{small_demo.environment['PGDATABASE']}_built"):
        yield small_demo


@pytest.fixture
def small_empty(server: EmbeddedServer, small_demo: BuiltDemo) -> Iterator[BuiltDemo]:
    """An empty database of that name, for one test."""
    with _database_again(server, small_demo, "template1"):
        yield small_demo


@contextmanager
def _database_again(server: EmbeddedServer, demo: BuiltDemo, template: str) -> Iterator[None]:
    name = demo.environment["PGDATABASE"]
    with server.admin_connection() as connection:
        connection.execute(f"create database {name} template {template} owner anchorline")
        try:
            yield
        finally:
            connection.execute(f"drop database {name} with (force)")


def _build(
    url: str,
    environment: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
    *,
    batches: int,
    is_tested: bool,
) -> BuiltDemo:
    folder = tmp_path_factory.mktemp("dbt")
    environment |= {
        "DBT_TARGET_PATH": str(folder / "target"),
        "DBT_LOG_PATH": str(folder / "logs"),
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        load_demo("prod", batches=batches, as_of=AS_OF, seed=1)
        dbt_build(
            "prod",
            variables={"as_of_date": AS_OF.isoformat()},
            arguments=() if is_tested else ("--exclude-resource-types", "test", "unit_test"),
        )
    return BuiltDemo(url, folder / "target", environment)


def _is_first(tmp_path_factory: pytest.TempPathFactory) -> bool:
    """Return whether no other test process of this run has built the farm: one lets dbt test it."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID")
    if run is None:
        return True
    try:
        (tmp_path_factory.getbasetemp().parent / f"demo-{run}").touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def pytest_report_header() -> str:
    return f"user: {'root' if os.geteuid() == 0 else os.geteuid()}"
