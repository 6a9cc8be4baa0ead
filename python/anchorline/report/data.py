"""What the page shows: a handful of queries on the marts, each of all batches at once.

Each query is read in the order of the batches, all of them in one transaction and so of one
moment, and the rows of one batch are in memory at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

from psycopg import Connection, sql
from psycopg.errors import InsufficientPrivilege, UndefinedColumn, UndefinedTable

from anchorline.errors import AnchorlineError
from anchorline.report.packing import Cell, Column, Table

EPOCH: Final = date(1970, 1, 1)
"""The page counts days from here."""

_ROWS_AT_ONCE: Final = 20_000


@dataclass(frozen=True)
class Query:
    """Rows of a mart for the page: its columns, a condition, and the order within a batch."""

    mart: str
    columns: tuple[Column, ...]
    order: tuple[str, ...]
    condition: str = "true"


def number(name: str, decimals: int = 0) -> Column:
    """Return a column of numbers with so many digits after the point."""
    return Column(name, "number", decimals)


def day(name: str) -> Column:
    """Return a column of days."""
    return Column(name, "date")


def text(name: str) -> Column:
    """Return a column of texts."""
    return Column(name, "text")


def flag(name: str) -> Column:
    """Return a column of yes and no."""
    return Column(name, "flag")


# Containers come before their days. Every mart's figures keep their own digits: what the page holds
# is what the marts hold.
QUERIES: Final[dict[str, Query]] = {
    "batch_days": Query(
        "daily_batch_states",
        (
            day("state_date"),
            text("lifecycle_stage_name"),
            number("avg_weight_g", 4),
            number("population"),
            number("biomass_kg", 2),
            number("container_count"),
            number("smallest_container_weight_g", 4),
            number("largest_container_weight_g", 4),
            number("temp_c", 2),
            number("mortality_count"),
            number("feed_kg", 2),
            number("anchor_count"),
            number("lowest_weight_confidence", 2),
            flag("is_provisional"),
        ),
        ("state_date",),
    ),
    "container_days": Query(
        "daily_assignment_states",
        (
            number("container_id"),
            day("state_date"),
            text("lifecycle_stage_name"),
            number("avg_weight_g", 4),
            number("population"),
            number("biomass_kg", 2),
            number("temp_c", 2),
            number("mortality_count"),
            number("feed_kg", 2),
            text("anchor_type"),
            text("temp_source"),
            number("temp_confidence", 2),
            text("mortality_source"),
            number("mortality_confidence", 2),
            text("feed_source"),
            number("feed_confidence", 2),
            text("weight_source"),
            number("weight_confidence", 2),
            flag("is_provisional"),
            flag("is_arrival_inferred"),
        ),
        ("container_id", "state_date"),
        "container_id is not null",
    ),
    "smoothed": Query(
        "growth_analysis",
        (
            number("container_id"),
            day("state_date"),
            number("avg_weight_g", 4),
            number("weight_low_g", 4),
            number("weight_high_g", 4),
            text("source"),
        ),
        ("container_id", "state_date"),
        "series = 'smoothed'",
    ),
    "scenario": Query(
        "growth_analysis",
        (
            number("scenario_id"),
            day("state_date"),
            text("lifecycle_stage_name"),
            number("avg_weight_g", 4),
            number("population"),
            number("biomass_kg", 2),
        ),
        ("scenario_id", "state_date"),
        "series = 'scenario'",
    ),
    "forecast": Query(
        "growth_analysis",
        (
            number("container_id"),
            day("state_date"),
            number("avg_weight_g", 4),
            number("weight_low_g", 4),
            number("weight_high_g", 4),
            number("population"),
            number("biomass_kg", 2),
        ),
        ("container_id", "state_date"),
        "series = 'forecast'",
    ),
    "sample": Query(
        "growth_analysis",
        (
            number("container_id"),
            day("state_date"),
            text("sample_type"),
            number("avg_weight_g", 4),
            number("std_deviation_weight_g", 4),
            number("sample_size"),
            number("condition_factor", 3),
            flag("is_anchor"),
        ),
        ("container_id", "state_date", "sample_type"),
        "series = 'sample'",
    ),
    "variance": Query(
        "growth_variance",
        (
            day("state_date"),
            number("scenario_weight_g", 4),
            number("weight_variance_percent", 2),
            number("population_variance_percent", 2),
            number("biomass_variance_percent", 2),
            number("days_ahead", 1),
        ),
        ("state_date",),
        "container_id is null",
    ),
    "anchors": Query(
        "weight_anchors",
        (
            number("container_id"),
            day("anchor_date"),
            text("anchor_type"),
            text("anchor_status"),
            number("weight_g", 4),
            number("sample_size"),
            number("std_deviation_weight_g", 4),
            number("modelled_weight_g", 4),
            number("residual_g", 4),
            number("residual_percent", 2),
            number("days_since_last_anchor"),
            number("segment_tgc", 4),
            number("expected_weight_low_g", 4),
            number("expected_weight_high_g", 4),
            number("innovation", 2),
            flag("is_suspect"),
            flag("is_drifting"),
            text("exclusion_reason"),
        ),
        ("anchor_date", "container_id", "anchor_type", "record_id"),
    ),
    "eta": Query(
        "container_forecast",
        (
            number("container_id"),
            number("harvest_weight_g", 4),
            day("expected_harvest_date"),
            day("harvest_date_p10"),
            day("harvest_date_p90"),
            day("planned_harvest_date"),
            number("harvest_days_behind_plan"),
            number("transfer_weight_g", 4),
            day("expected_transfer_date"),
            text("forecast_tier"),
        ),
        ("container_id", "assignment_id"),
    ),
    "fcr": Query(
        "production_figures",
        (
            number("container_id"),
            text("period_type"),
            day("period_start_date"),
            day("last_state_date"),
            number("feed_kg", 2),
            number("economic_fcr", 3),
            number("biological_fcr", 3),
            number("days_with_feed"),
            number("days_covered"),
        ),
        ("container_id", "period_type", "period_start_date"),
        "(period_type = 'anchor_window' and container_id is not null)"
        " or (assignment_id is null and period_type in ('month', 'life'))",
    ),
}


@dataclass(frozen=True)
class Batch:
    """A batch as the mart `batches` describes it."""

    batch_id: int
    batch_number: str
    batch_status: str | None
    batch_type: str | None
    species_name: str | None
    scenario_id: int | None
    scenario_name: str | None
    scenario_source: str
    start_date: date
    expected_end_date: date | None
    actual_end_date: date | None


@dataclass(frozen=True)
class Name:
    """A container or a scenario, and the name of it."""

    id: int | None
    name: str | None
    place: str | None = None


@dataclass(frozen=True)
class BatchData:
    """All that the page knows about one batch."""

    batch: Batch
    containers: list[Name]
    scenarios: list[Name]
    tables: dict[str, Table]


def batches(connection: Connection, schema: str, wanted: Sequence[str]) -> list[Batch]:
    """Return the batches of these numbers or ids, all where none is named, by number.

    Raises AnchorlineError where one is not there, or the marts are not.
    """
    names = sql.SQL(", ").join(map(sql.Identifier, Batch.__dataclass_fields__))
    query = sql.SQL("select {} from {} order by batch_number, batch_id").format(
        names, sql.Identifier(schema, "batches")
    )
    try:
        found = [Batch(*row) for row in connection.execute(query)]
    except UndefinedTable as error:
        raise AnchorlineError(
            f"Schema {schema} of database {connection.info.dbname} holds no marts. Build them with "
            "`dbt build`, or with `make demo` for the demo farm in the embedded database."
        ) from error
    except InsufficientPrivilege as error:
        raise _not_allowed(connection, schema) from error
    if not wanted:
        return found
    chosen = {
        batch.batch_id: batch
        for name in wanted
        for batch in _named(found, name, connection.info.dbname)
    }
    return [batch for batch in found if batch.batch_id in chosen]


def _named(found: Sequence[Batch], name: str, database: str) -> list[Batch]:
    """Return the batch of a number; where no batch has it, the one of that id."""
    matching = [batch for batch in found if batch.batch_number == name] or [
        batch for batch in found if str(batch.batch_id) == name
    ]
    if not matching:
        raise AnchorlineError(
            f"The marts of database {database} have no batch {name!r}, neither by number nor by "
            "id. `anchorline summary` lists the batches that have fish."
        )
    return matching


def read(connection: Connection, schema: str, chosen: Sequence[Batch]) -> Iterator[BatchData]:
    """Read all that there is to know about these batches, one after the other.

    ``connection`` is in no transaction yet; all is read in one, as of one moment.
    """
    ids = [batch.batch_id for batch in chosen]
    containers = _containers(connection, schema, ids)
    scenarios = _scenarios(connection, schema, ids)
    by_id = {batch.batch_id: batch for batch in chosen}
    with ExitStack() as stack:
        rows = {
            name: _Rows(stack.enter_context(_cursor(connection, schema, name, query, ids)))
            for name, query in QUERIES.items()
        }
        for batch_id in sorted(ids):
            tables = {
                name: _table(QUERIES[name].columns, rows[name].of(batch_id)) for name in QUERIES
            }
            yield BatchData(
                by_id[batch_id],
                containers.get(batch_id, []),
                scenarios.get(batch_id, []),
                tables,
            )


class _Rows:
    """Rows in the order of their first column, handed out batch by batch."""

    def __init__(self, rows: Iterator[tuple[Any, ...]]) -> None:
        self._groups = groupby(rows, key=itemgetter(0))
        self._next = self._advance()

    def of(self, batch_id: int) -> list[tuple[Any, ...]]:
        if self._next is None or self._next[0] != batch_id:
            return []
        rows = self._next[1]
        self._next = self._advance()
        return rows

    def _advance(self) -> tuple[int, list[tuple[Any, ...]]] | None:
        for batch_id, rows in self._groups:
            return batch_id, list(rows)
        return None


def _cursor(
    connection: Connection, schema: str, name: str, query: Query, ids: Sequence[int]
) -> Any:
    selected = sql.SQL(", ").join(_selected(column) for column in query.columns)
    order = sql.SQL(", ").join(
        sql.SQL("{} nulls first").format(sql.Identifier(column)) for column in query.order
    )
    statement = sql.SQL(
        "select batch_id, {} from {} where batch_id = any(%s) and ({}) order by batch_id, {}"
    ).format(
        selected,
        sql.Identifier(schema, query.mart),
        sql.SQL(query.condition),
        order,
    )
    cursor = connection.cursor(f"report_{name}")
    cursor.itersize = _ROWS_AT_ONCE
    try:
        return cursor.execute(statement, (list(ids),))
    except (UndefinedColumn, UndefinedTable) as error:
        raise AnchorlineError(
            f"The marts in {schema} are of another release of anchorline. Run `dbt build`."
        ) from error
    except InsufficientPrivilege as error:
        raise _not_allowed(connection, schema) from error


def _selected(column: Column) -> sql.Composable:
    name = sql.Identifier(column.name)
    if column.kind == "date":
        return sql.SQL("{} - date '1970-01-01'").format(name)
    if column.kind == "flag":
        return sql.SQL("{}::integer").format(name)
    if column.kind == "number":
        return sql.SQL("{}::double precision").format(name)
    return name


def _table(columns: tuple[Column, ...], rows: Sequence[tuple[Any, ...]]) -> Table:
    cells: list[Sequence[Cell]] = list(zip(*rows, strict=True)) if rows else []
    return Table(
        columns,
        {
            column.name: cells[place + 1] if rows else []  # before them stands the batch
            for place, column in enumerate(columns)
        },
    )


def _containers(connection: Connection, schema: str, ids: Sequence[int]) -> dict[int, list[Name]]:
    """Return per batch the containers that it has been in, in the order in which it came there."""
    query = sql.SQL(
        """
        select
            states.batch_id,
            containers.container_id,
            containers.container_name,
            coalesce(
                containers.area_name, containers.hall_name, containers.freshwater_station_name
            ) as place
        from (
            select
                batch_id,
                container_id,
                min(state_date) as first_date
            from {states}
            where batch_id = any(%s)
            group by batch_id, container_id
        ) as states
        inner join {containers} as containers on states.container_id = containers.container_id
        order by states.batch_id, states.first_date, containers.container_name, 2
        """
    ).format(
        states=sql.Identifier(schema, "daily_assignment_states"),
        containers=sql.Identifier(schema, "containers"),
    )
    return _names(connection, query, ids)


def _scenarios(connection: Connection, schema: str, ids: Sequence[int]) -> dict[int, list[Name]]:
    """Return per batch the scenarios that have days; the baseline of the seeds has no id."""
    query = sql.SQL(
        """
        select distinct
            batch_id,
            scenario_id,
            scenario_name,
            null as place
        from {analysis}
        where series = 'scenario' and batch_id = any(%s)
        order by batch_id, scenario_id nulls first
        """
    ).format(analysis=sql.Identifier(schema, "growth_analysis"))
    return _names(connection, query, ids)


def _names(
    connection: Connection, query: sql.Composed, ids: Sequence[int]
) -> dict[int, list[Name]]:
    named: dict[int, list[Name]] = {}
    for batch_id, key, name, place in connection.execute(query, (list(ids),)):
        named.setdefault(batch_id, []).append(Name(key, name, place))
    return named


def _not_allowed(connection: Connection, schema: str) -> AnchorlineError:
    return AnchorlineError(
        f"User {connection.info.user!r} may not read the marts in {schema}. Connect as one who may "
        "(PGUSER), or let their owner grant it: `anchorline db roles`."
    )
