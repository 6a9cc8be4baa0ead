"""The farm that is measured: how large it is, and the database that it lives in."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import psycopg
from psycopg import sql

from anchorline.errors import AnchorlineError

Connection = psycopg.Connection[Any]
Tell = Callable[[str], None]


@dataclass(frozen=True)
class FarmSize:
    """How many batches a farm has, and how often its sensors measure a day.

    `readings_per_day` None: four or six times, as sensors differ; 0: there are no readings.
    """

    batches: int
    readings_per_day: int | None = None


SIZES: Final[Mapping[str, FarmSize]] = {
    "small": FarmSize(5),
    "seed": FarmSize(145, 14),
    "x3": FarmSize(435, 14),
    "x10": FarmSize(1450, 1),
}
"""The farms by name; that of `x10` has the means of its days, as an aggregate would hold them."""


@dataclass(frozen=True)
class LoadedFarm:
    """The farm as it was loaded: what it is, its rows, and the seconds that it took."""

    description: str
    row_count: int
    reading_count: int
    seconds: float


@contextmanager
def scratch_database(
    server: Connection, parameters: Mapping[str, Any], *, keep: bool, tell: Tell
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


def load(parameters: Mapping[str, Any], size: FarmSize, as_of: date, seed: int) -> LoadedFarm:
    """Load a demo farm, lineage by lineage."""
    from anchorline.demo import load_farm

    began = time.monotonic()
    with psycopg.connect(**parameters) as connection:
        loaded = load_farm(
            connection,
            batches=size.batches,
            as_of=as_of,
            seed=seed,
            readings=size.readings_per_day != 0,
            readings_per_day=size.readings_per_day or None,
        )
    return LoadedFarm(
        loaded.parameters.describe(),
        sum(loaded.row_counts.values()),
        loaded.row_counts.get("environmental_environmentalreading", 0),
        time.monotonic() - began,
    )


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


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set variables of this process's environment, and put them back at the end."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
