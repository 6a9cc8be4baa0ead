"""dbt in this process, without what it does at each model and a refresh has no use for.

A refresh of one batch runs some 70 models that replace a few rows each: what dbt does around them
takes longer than their queries.
"""

from __future__ import annotations

from typing import Any

import psycopg2  # type: ignore[import-untyped]
from dbt.adapters.contracts.connection import ConnectionState
from dbt.adapters.postgres.connections import PostgresConnectionManager
from dbt.adapters.postgres.impl import PostgresAdapter
from dbt_common.events.base_types import BaseEvent, EventLevel
from dbt_common.events.event_manager import EventManager
from dbt_common.events.event_manager_client import ctx_set_event_manager


def make_lean(heard: frozenset[str]) -> None:
    """Keep dbt's connections from model to model, and make no messages but of the events `heard`.

    It holds for all runs of dbt in this process.
    """
    PostgresAdapter.ConnectionManager = KeptConnections
    ctx_set_event_manager(HeardEvents(heard))


class KeptConnections(PostgresConnectionManager):
    """Connections that a thread keeps from model to model; dbt closes all at the end of a run.

    dbt-postgres closes its connection after each model. A new one costs both sides the login, and
    the server the catalog, which each session reads for itself. Other adapters of dbt keep theirs
    by a setting (`reuse_connections`); this one has none.
    """

    def release(self) -> None:
        """Roll back what a model has left open; close what is no model's connection, or broken."""
        connection = self.get_if_exists()
        if (
            connection is not None
            and connection.state == ConnectionState.OPEN
            and str(connection.name).startswith("model.")
        ):
            try:
                connection.handle.rollback()
            except psycopg2.Error:
                super().release()
            else:
                connection.transaction_open = False
        else:
            super().release()


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
