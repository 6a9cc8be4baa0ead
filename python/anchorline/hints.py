"""Commands as hints name them: ready to be copied, for the target that is worked on."""

from __future__ import annotations

import os
import shlex
from datetime import UTC, date, datetime
from typing import Any, Final

import psycopg

from anchorline import settings
from anchorline.raw.sources import project_variable

PG_VARIABLES: Final = ("PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE", "PGSERVICE")
"""Those that name a server or a database."""


def for_target(command: str, target: str) -> str:
    """Return a command with ``--target``, unless it works on that target without it."""
    default = os.environ.get("DBT_TARGET") or settings.TARGETS[0]
    if target == default == settings.TARGETS[0]:
        return command
    return f"{command} --target {target}"


def dbt_build(target: str, **variables: object) -> str:
    """Return `dbt build` for a target, with those variables that differ from the project's."""
    command = for_target("dbt build", target)
    given = {
        name: str(value)
        for name, value in variables.items()
        if value is not None and str(value) != project_variable(name, "")
    }
    if not given:
        return command
    pairs = ", ".join(f"{name}: {_yaml(value)}" for name, value in given.items())
    return f"{command} --vars {shlex.quote('{' + pairs + '}')}"


def last_day_if_past(last_day: date) -> date | None:
    """Return the last day of a demo farm where plain `dbt build` would build on beyond it."""
    return None if last_day == datetime.now(UTC).date() else last_day


def demo_last_day(connection: psycopg.Connection[Any]) -> date | None:
    """Return the last day of the demo farm in a database; None without one, or for today."""
    from anchorline.demo import loaded_farm

    try:
        farm = loaded_farm(connection)
    except psycopg.errors.InsufficientPrivilege:
        return None
    return last_day_if_past(farm.as_of) if farm and farm.batches else None


def place(connection: psycopg.Connection[Any]) -> str:
    """Return which database of which server a connection works on."""
    info = connection.info
    return f"database {info.dbname} on {info.host}:{info.port}"


def unused_pg_variables(target: str) -> list[str]:
    """Return the PG* variables that name a server while the target is another one."""
    if target != settings.TARGETS[0]:
        return []
    return [name for name in PG_VARIABLES if os.environ.get(name)]


def listed(names: list[str]) -> str:
    """Return names as a person lists them."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def _yaml(value: str) -> str:
    is_plain = value.replace("_", "").replace("/", "").replace("-", "").isalnum()
    return value if is_plain else '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
