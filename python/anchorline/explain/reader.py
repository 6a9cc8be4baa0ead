"""Queries in which the layers of the target are named, and the raw tables' names."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final, LiteralString

from psycopg import Connection, sql
from psycopg.errors import InsufficientPrivilege, InvalidSchemaName, UndefinedColumn, UndefinedTable
from psycopg.rows import dict_row

from anchorline.errors import AnchorlineError

LAYERS: Final = ("staging", "intermediate", "marts", "seeds", "ops")


ONE_DAY: Final = timedelta(days=1)


ASSIGNMENT_TABLE: Final = "batch_batchcontainerassignment"


READING_TABLE: Final = "environmental_environmentalreading"


EVENT_TABLE: Final = "batch_mortalityevent"


RECORD_TABLE: Final = "health_mortalityrecord"


START_WEIGHT_FROM: Final = {
    "assignment": "the assignment's own mean weight",
    "stage_constraint": "the scenario's lower limit of the stage",
    "scenario": "the scenario's initial weight",
    "lifecycle_stage": "the stage's lowest expected weight",
    "default": "the default start weight",
}


ANCHOR_NAMES: Final = {
    "growth_sample": "growth sample",
    "transfer": "weighing in a transfer",
    "vaccination": "weighing at a vaccination",
    "manual": "weight entered by hand",
    "health_sampling": "health sampling",
}


ANCHOR_TABLES: Final = {
    "growth_sample": "batch_growthsample",
    "transfer": "batch_transferaction",
    "vaccination": "health_treatment",
    "manual": "anchorline_ops.manual_anchors",
    "health_sampling": "health_healthsamplingevent",
}


Row = dict[str, Any]


class Reader:
    """Runs queries in which {staging}, {intermediate}, ... stand for the target's schemas."""

    def __init__(self, connection: Connection, prefix: str) -> None:
        self._connection = connection
        self.prefix = prefix
        self._names = {layer: sql.Identifier(f"{prefix}_{layer}") for layer in LAYERS}
        self.query_count = 0

    def rows(self, query: LiteralString, **parameters: Any) -> list[Row]:
        """Return the rows of a query. Raises AnchorlineError where the models are not built."""
        self.query_count += 1
        try:
            with self._connection.cursor(row_factory=dict_row) as cursor:
                cursor.execute(sql.SQL(query).format(**self._names), parameters)
                return cursor.fetchall()
        except (UndefinedTable, UndefinedColumn, InvalidSchemaName) as error:
            raise AnchorlineError(
                f"The schemas {self.prefix}_* of database {self._connection.info.dbname} lack what "
                "an explanation needs. Build all models of this release with `dbt build`."
            ) from error
        except InsufficientPrivilege as error:
            raise AnchorlineError(
                "An explanation goes back to the raw records: it needs the right to read the "
                f"schemas {self.prefix}_staging, _intermediate, _marts and _seeds. "
                "Connect as one who has it (PGUSER)."
            ) from error

    def row(self, query: LiteralString, **parameters: Any) -> Row | None:
        """Return the first row of a query, or None."""
        found = self.rows(query, **parameters)
        return found[0] if found else None


def as_float(number: Any) -> float | None:
    """Turn a numeric of the database into a float; null stays None."""
    return None if number is None else float(number)
