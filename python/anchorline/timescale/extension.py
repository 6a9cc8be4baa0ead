"""Whether TimescaleDB is in a database, in which version and edition."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final, Literal

import psycopg

from anchorline import hints
from anchorline.errors import AnchorlineError

Connection = psycopg.Connection[Any]
Edition = Literal["community", "apache"]
State = Literal["absent", "available", "too_old", "installed"]

OLDEST_VERSION: Final = (2, 13)
"""The first TimescaleDB with `by_range`, which the project's hypertables are made with."""


@dataclass(frozen=True)
class Extension:
    """What the server has of TimescaleDB, and what this database uses of it.

    `schema` holds its functions; `edition` is what its setting `timescaledb.license` says.
    """

    state: State
    version: str | None = None
    edition: Edition | None = None
    schema: str | None = None
    offered_version: str | None = None
    """What the server could install, where that is another version."""

    @property
    def is_usable(self) -> bool:
        """Whether the project's tables can be hypertables."""
        return self.state == "installed"

    @property
    def meaning(self) -> str:
        """What it means for this project, in a sentence."""
        if self.state == "absent":
            return (
                "The server has no TimescaleDB: all tables are plain ones, and nothing is missing."
            )
        if self.state == "available":
            return (
                "The server has TimescaleDB, this database does not use it: all tables are plain "
                "ones. `create extension timescaledb`, then a `dbt build`, would change that."
            )
        if self.state == "too_old":
            oldest = ".".join(str(number) for number in OLDEST_VERSION)
            return (
                f"This TimescaleDB is older than {oldest}, and not used: all tables are plain ones."
            )
        if self.edition == "apache":
            return (
                "Daily states are a hypertable. The Apache edition neither compresses nor drops "
                "old chunks, and has no continuous aggregates."
            )
        return (
            "Daily states are a compressed hypertable; where the readings are a hypertable, a "
            "continuous aggregate has the daily temperatures."
        )


def find_extension(connection: Connection) -> Extension:
    """Look for TimescaleDB; any role may."""
    row = connection.execute(
        """
        select
            extensions.extversion,
            schemas.nspname::text,
            current_setting('timescaledb.license', true),
            offered.default_version
        from (select) as one
        left join pg_catalog.pg_extension as extensions on extensions.extname = 'timescaledb'
        left join pg_catalog.pg_namespace as schemas on extensions.extnamespace = schemas.oid
        left join pg_catalog.pg_available_extensions as offered on offered.name = 'timescaledb'
        """
    ).fetchone()
    version, schema, license_name, offered = row or (None, None, None, None)
    if version is None:
        return Extension("absent" if offered is None else "available", offered_version=offered)
    return Extension(
        "installed" if _numbers(version) >= OLDEST_VERSION else "too_old",
        version=version,
        # a library that cannot be loaded has no settings
        edition="community" if license_name == "timescale" else "apache",
        schema=schema,
        offered_version=offered if offered != version else None,
    )


def require_extension(connection: Connection, *, community: bool = False) -> Extension:
    """Return what there is, or raise AnchorlineError where hypertables cannot be made.

    With `community`, also where compression and continuous aggregates cannot be had.
    """
    found = find_extension(connection)
    where = hints.place(connection)
    if found.state == "absent":
        raise AnchorlineError(
            f"The server of {where} has no TimescaleDB. Install it there first (package "
            "timescaledb, `shared_preload_libraries = 'timescaledb'`); nothing was changed."
        )
    if found.state == "available":
        raise AnchorlineError(
            f"TimescaleDB is not used in {where}. Let the owner of the database run "
            "`create extension timescaledb` first; nothing was changed."
        )
    if found.state == "too_old":
        oldest = ".".join(str(number) for number in OLDEST_VERSION)
        raise AnchorlineError(
            f"TimescaleDB of {where} is {found.version}; {oldest} or newer is needed. Update it "
            "first (`alter extension timescaledb update`); nothing was changed."
        )
    if community and found.edition != "community":
        raise AnchorlineError(
            f"TimescaleDB of {where} is the Apache edition, which has no continuous aggregates. "
            "Set `timescaledb.license = 'timescale'` where that licence suits you, and restart the "
            "server; nothing was changed."
        )
    return found


def _numbers(version: str) -> tuple[int, ...]:
    """Return the first two numbers of a version such as 2.28.3 or 2.13.0-dev."""
    return tuple(int(number) for number in re.findall(r"\d+", version)[:2])
