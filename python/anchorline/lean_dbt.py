"""dbt in this process, without what it does at each node for nothing.

    python -m anchorline.lean_dbt build --target prod

is `dbt build --target prod`, with the same messages, log and artifacts. A refresh of one batch runs
some 70 models that replace a few rows each: what dbt does around them takes longer than their
queries. So do most data tests.
"""

from __future__ import annotations

import re
import sys
from functools import cache
from types import CodeType
from typing import Any, Final

import psycopg2  # type: ignore[import-untyped]
from dbt import compilation
from dbt.adapters.contracts.connection import ConnectionState
from dbt.adapters.postgres.connections import PostgresConnectionManager
from dbt.adapters.postgres.impl import PostgresAdapter
from dbt.artifacts.resources.v1.components import InjectedCTE
from dbt.cli.main import cli
from dbt_common.clients import agate_helper
from dbt_common.clients.jinja import MacroFuzzEnvironment
from dbt_common.events.base_types import BaseEvent, EventLevel
from dbt_common.events.event_manager import EventManager
from dbt_common.events.event_manager_client import ctx_set_event_manager

KEPT: Final = ("model.", "test.", "unit_test.")
"""How the names of connections begin that are kept: nodes that end their transaction."""


def make_lean() -> None:
    """Keep dbt's connections from node to node, and what it has compiled from run to run.

    It holds for all runs of dbt in this process.
    """
    PostgresAdapter.ConnectionManager = KeptConnections
    compilation.inject_ctes_into_sql = inject_ctes
    MacroFuzzEnvironment.compile = _compile_once  # type: ignore[assignment]
    agate_helper.empty_table = _empty_table


def make_quiet(heard: frozenset[str]) -> None:
    """Make no messages but of the events named, of warnings and of errors: nobody hears others."""
    ctx_set_event_manager(HeardEvents(heard))
    BaseEvent.__init__ = _note_event  # type: ignore[method-assign, assignment]
    BaseEvent.__getattr__ = _read_event  # type: ignore[method-assign]


class KeptConnections(PostgresConnectionManager):
    """Connections that a thread keeps from node to node; dbt closes all at the end of a run.

    dbt-postgres closes its connection after each node. A new one costs both sides the login, and
    the server the catalog, which each session reads for itself. Other adapters of dbt keep theirs
    by a setting (`reuse_connections`); this one has none.
    """

    def release(self) -> None:
        """Roll back what a node has left open; close what is not to be kept, or broken."""
        connection = self.get_if_exists()
        if (
            connection is not None
            and connection.state == ConnectionState.OPEN
            and str(connection.name).startswith(KEPT)
        ):
            try:
                connection.handle.rollback()
            except psycopg2.Error:
                super().release()
            else:
                connection.transaction_open = False
        else:
            super().release()


_inject_ctes = compilation.inject_ctes_into_sql
_WITH: Final = re.compile(
    r"(?: \s | --[^\n]*\n | /\*.*?\*/ )* with \b (?: \s+ recursive \b )? \s*",
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)


def inject_ctes(sql: str, ctes: list[InjectedCTE]) -> str:
    """Put CTEs, such as the inputs of a unit test, before those of a query.

    dbt parses the whole query to find its `with`. Nearly all begin with it.
    """
    found = _WITH.match(sql)
    if not ctes or found is None:
        return _inject_ctes(sql, ctes)
    return sql[: found.end()] + ", ".join(cte.sql for cte in ctes) + ", " + sql[found.end() :]


class HeardEvents(EventManager):
    """Events of which somebody hears: those named, warnings and errors.

    The others, ten for each query, are debug lines of a log that is off.
    """

    def __init__(self, heard: frozenset[str]) -> None:
        super().__init__()
        self._heard = heard

    def fire_event(
        self,
        e: BaseEvent,
        level: EventLevel | None = None,
        node: Any = None,
        force_warn_or_error_handling: bool = False,
    ) -> None:
        """Make the message of an event, where it is heard."""
        if (
            type(e).__name__ in self._heard
            or (level or e.level_tag()) in (EventLevel.WARN, EventLevel.ERROR)
            or force_warn_or_error_handling
        ):
            super().fire_event(e, level, node, force_warn_or_error_handling)


_make_message = BaseEvent.__init__


def _note_event(event: BaseEvent, *arguments: Any, **values: Any) -> None:
    """Keep what an event says: to make its message costs more than all else that is done of it."""
    object.__setattr__(event, "noted", (arguments, values))


def _read_event(event: BaseEvent, name: str) -> Any:
    """Make the message of an event when it is read for the first time."""
    if name != "pb_msg":
        return getattr(event.pb_msg, name)
    arguments, values = object.__getattribute__(event, "noted")
    _make_message(event, *arguments, **values)
    return object.__getattribute__(event, name)


_compile: Any = MacroFuzzEnvironment.compile
_compiled: dict[tuple[type, str, bool], CodeType] = {}


def _compile_once(
    environment: MacroFuzzEnvironment,
    source: Any,
    name: str | None = None,
    filename: str | None = None,
    raw: bool = False,
    defer_init: bool = False,
) -> Any:
    """Compile a template that this process has not compiled yet."""
    if raw or name or filename or not isinstance(source, str):
        return _compile(environment, source, name, filename, raw, defer_init)
    key = (type(environment), source, defer_init)
    if key not in _compiled:
        _compiled[key] = _compile(environment, source, defer_init=defer_init)
    return _compiled[key]


_empty_table = cache(agate_helper.empty_table)


if __name__ == "__main__":
    make_lean()
    sys.exit(cli(prog_name="dbt"))
