"""A throw-away PostgreSQL with TimescaleDB, where one can be had; else its tests are skipped.

A test module asks for these fixtures with `pytest_plugins = ("timescale_server",)`. The server is

* the one that ANCHORLINE_TIMESCALE_URL names, as a superuser, with all that is needed to log in.
  Only databases of the tests' own are made there, and dropped again. The other variable,
  ANCHORLINE_TIMESCALE_APACHE_URL, names a server that has `timescaledb.license = 'apache'`;
* else one that is started in a temporary folder from a PostgreSQL of this machine that TimescaleDB
  is installed for.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import psycopg
import pytest
from conftest import free_port
from psycopg import sql

from anchorline.database import EmbeddedServer

URL_VARIABLE: Final = "ANCHORLINE_TIMESCALE_URL"
APACHE_URL_VARIABLE: Final = "ANCHORLINE_TIMESCALE_APACHE_URL"

FOLDERS: Final = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/usr/local/pgsql*/bin",
    "/opt/homebrew/opt/postgresql*/bin",
)
"""Where packages put the programs of PostgreSQL."""

SETTINGS: Final = {
    "shared_preload_libraries": "timescaledb",
    "timescaledb.telemetry_level": "off",
    "timescaledb.max_background_workers": "8",
    "max_worker_processes": "24",
    "max_locks_per_transaction": "256",
}


@pytest.fixture(scope="session")
def timescale_url() -> Iterator[str]:
    """A superuser's connection string, of a server with the community edition."""
    with _server("timescale", URL_VARIABLE) as url:
        yield url


@pytest.fixture(scope="session")
def timescale_apache_url() -> Iterator[str]:
    """The same for the Apache edition, which neither compresses nor aggregates continuously."""
    with _server("apache", APACHE_URL_VARIABLE) as url:
        yield url


@pytest.fixture(scope="session")
def make_timescale_database(timescale_url: str) -> Iterator[Callable[[], str]]:
    """Make an empty database with the extension per call; returns the superuser's URL of it."""
    with _databases(timescale_url) as make:
        yield make


@pytest.fixture(scope="session")
def make_apache_database(timescale_apache_url: str) -> Iterator[Callable[[], str]]:
    """Make an empty database with the extension in the Apache edition."""
    with _databases(timescale_apache_url) as make:
        yield make


@contextmanager
def _server(license_name: str, variable: str) -> Iterator[str]:
    named = os.environ.get(variable)
    if named:
        yield _whole_url(named)
        return
    binaries = _binaries_with_timescale()
    if binaries is None:
        pytest.skip(f"no PostgreSQL with TimescaleDB: none is installed, {variable} names none")
    # a short path with a blank in it
    folder = Path(tempfile.mkdtemp(prefix="anchorline timescale "))
    server = EmbeddedServer(folder / "data", port=free_port(), durable=False)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("ANCHORLINE_POSTGRES_BIN", str(binaries))
            server.start()
            _set(server, {**SETTINGS, "timescaledb.license": license_name})
            server.stop()
            server.start()
        yield psycopg.conninfo.make_conninfo(
            server.url("postgres", with_password=True),
            user="postgres",
            password=server.password("postgres"),
        )
    finally:
        server.remove()
        shutil.rmtree(folder, ignore_errors=True)


def _set(server: EmbeddedServer, settings: dict[str, str]) -> None:
    """Give the server settings that it reads when it starts."""
    cluster = server.status().cluster
    assert cluster is not None
    lines = [f"{name} = '{value}'\n" for name, value in settings.items()]
    (Path(cluster) / "local.conf").write_text("".join(lines))
    (Path(cluster) / "local.conf").chmod(0o644)


def _whole_url(url: str) -> str:
    """Connect, so that what libpq adds to the URL (host, port, user) is known and named."""
    with psycopg.connect(url, connect_timeout=10) as connection:
        info = connection.info
        return psycopg.conninfo.make_conninfo(
            url,
            host=info.host,
            port=info.port,
            user=info.user,
            password=info.password or "",
            dbname=info.dbname,
        )


@contextmanager
def _databases(url: str) -> Iterator[Callable[[], str]]:
    with ExitStack() as made:

        def make() -> str:
            # its own: the server may be shared by test processes
            name = f"anchorline_test_{secrets.token_hex(6)}"
            _execute(url, sql.SQL("create database {} template template0"), name)
            made.callback(_execute, url, sql.SQL("drop database {} with (force)"), name)
            _execute(url, sql.SQL("alter database {} set timescaledb.telemetry_level = off"), name)
            database_url = psycopg.conninfo.make_conninfo(url, dbname=name)
            with psycopg.connect(database_url) as connection:
                connection.execute("create extension timescaledb")
            return database_url

        yield make


def _execute(url: str, statement: sql.SQL, name: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement.format(sql.Identifier(name)))


def _binaries_with_timescale() -> Path | None:
    """Find the newest PostgreSQL of this machine that TimescaleDB is installed for."""
    programs = {path for pattern in FOLDERS for path in Path("/").glob(pattern[1:])}
    on_path = shutil.which("pg_config")
    if on_path:
        programs.add(Path(_pg_config(Path(on_path), "--bindir")))
    found = []
    for folder in programs:
        pg_config = folder / "pg_config"
        if not os.access(pg_config, os.X_OK) or not os.access(folder / "postgres", os.X_OK):
            continue
        control = Path(_pg_config(pg_config, "--sharedir"), "extension", "timescaledb.control")
        version = re.search(r"\d+", _pg_config(pg_config, "--version"))
        if control.is_file() and version and int(version.group()) >= 15:
            found.append((int(version.group()), folder))
    return max(found)[1] if found else None


def _pg_config(program: Path, option: str) -> str:
    done = subprocess.run([str(program), option], capture_output=True, text=True, check=False)
    return done.stdout.strip()
