"""What the build is measured by: the least that has to be done, and how such engines begin."""

from __future__ import annotations

import re
import statistics
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from anchorline.errors import AnchorlineError

Connection = psycopg.Connection[Any]
Row = dict[str, Any]

ENGINE: Final = "int_growth_states"
"""The recursive model: everything else is a single pass."""

_SCRATCH: Final = sql.Identifier("bench_floor")
_MARTS: Final = "anchorline_marts"
_INTERMEDIATE: Final = "anchorline_intermediate"


@dataclass(frozen=True)
class EngineTime:
    """The recursion alone, beside writing its own result, in one run of one server.

    All times in s: medians of the repeats.
    """

    rows: int
    recursion_seconds: float
    copy_seconds: float

    @property
    def ratio(self) -> float:
        """Return how many times longer the recursion takes than to write its rows."""
        return self.recursion_seconds / self.copy_seconds if self.copy_seconds else float("nan")


@dataclass(frozen=True)
class FloorTime:
    """The least that a build does, in s: read the readings once, write marts and indexes once."""

    readings_seconds: float
    copy_seconds: float

    @property
    def seconds(self) -> float:
        """Return the whole floor."""
        return self.readings_seconds + self.copy_seconds


@dataclass(frozen=True)
class LoopTime:
    """One batch computed day by day in Python, a query per day and kind of event."""

    batch_number: str
    states: int
    statements: int
    seconds: float
    largest_difference: float
    """Of a weight to the engine's, relative; counts are equal."""

    @property
    def states_per_second(self) -> float:
        """Return how many states a second the loop computes."""
        return self.states / self.seconds if self.seconds else float("nan")


def time_engine(connection: Connection, engine_sql: str, repeats: int) -> EngineTime:
    """Time the recursion and the bare copy of its result, in turns; no indexes in either."""
    connection.execute("set jit = off")
    recursion, copy = [], []
    rows = 0
    for _ in range(repeats):
        began = time.monotonic()
        rows = connection.execute(f"create table public.bench_recursion as {engine_sql}").rowcount
        recursion.append(time.monotonic() - began)
        began = time.monotonic()
        connection.execute("create table public.bench_copy as table public.bench_recursion")
        copy.append(time.monotonic() - began)
        connection.execute("drop table public.bench_recursion, public.bench_copy")
    return EngineTime(rows, statistics.median(recursion), statistics.median(copy))


def time_floor(connection: Connection) -> FloorTime:
    """Read all readings in one aggregate; copy each mart and make its indexes, one at a time."""
    began = time.monotonic()
    connection.execute(
        """
        select container_id, parameter_id, reading_time::date as day, avg(value), count(*)
        from public.environmental_environmentalreading
        group by container_id, parameter_id, day
        """,
        binary=True,
    )
    readings_seconds = time.monotonic() - began
    connection.execute(sql.SQL("create schema {}").format(_SCRATCH))
    copy_seconds = 0.0
    try:
        for (table,) in connection.execute(
            "select tablename from pg_catalog.pg_tables where schemaname = %s order by tablename",
            (_MARTS,),
        ).fetchall():
            indexes = connection.execute(
                "select indexdef from pg_catalog.pg_indexes where schemaname = %s "
                "and tablename = %s",
                (_MARTS, table),
            ).fetchall()
            copy = sql.Identifier("bench_floor", table)
            began = time.monotonic()
            connection.execute(
                sql.SQL("create table {} as table {}").format(copy, sql.Identifier(_MARTS, table))
            )
            for (definition,) in indexes:
                method_and_columns = re.split(r" (?=USING )", definition, maxsplit=1)[1]
                connection.execute(
                    sql.SQL("create index on {} ").format(copy) + sql.SQL(method_and_columns)
                )
            copy_seconds += time.monotonic() - began
            connection.execute(sql.SQL("drop table {}").format(copy))
    finally:
        connection.execute(sql.SQL("drop schema {} cascade").format(_SCRATCH))
    return FloorTime(readings_seconds, copy_seconds)


def time_loop(connection: Connection) -> LoopTime:
    """Compute the longest batch that mixes with no other as engines of this kind usually begin.

    Its inputs are those of the recursion, gaps filled: what finds them is not timed. Raises
    AnchorlineError where a state differs from the recursion's.
    """
    batch_id, batch_number = _plain_batch(connection)
    expected = {
        (row["assignment_id"], row["state_date"]): row
        for row in _rows(
            connection,
            "select assignment_id, state_date, population, weight_g from {}.int_growth_states "
            "where batch_id = %s",
            (batch_id,),
        )
    }
    loop = _Loop(connection, batch_id)
    began = time.monotonic()
    computed = loop.run()
    seconds = time.monotonic() - began
    largest = 0.0
    if computed.keys() != expected.keys():
        raise AnchorlineError(f"The loop found other days of {batch_number} than the recursion.")
    for key, (population, weight_g) in computed.items():
        if population != expected[key]["population"]:
            raise AnchorlineError(f"The loop counted other fish of {batch_number}: {key}.")
        largest = max(largest, abs(weight_g / expected[key]["weight_g"] - 1))
    return LoopTime(batch_number, len(computed), loop.statements, seconds, largest)


def _plain_batch(connection: Connection) -> tuple[int, str]:
    found = _rows(
        connection,
        """
        select batches.batch_id, batches.batch_number
        from anchorline_marts.batches
        inner join {}.int_growth_inputs as inputs on batches.batch_id = inputs.batch_id
        where batches.batch_id not in (
            select others.batch_id from {}.int_movements as movements
            inner join {}.int_assignments as froms
                on movements.from_assignment_id = froms.assignment_id
            inner join {}.int_assignments as tos on movements.to_assignment_id = tos.assignment_id
            cross join lateral (values (froms.batch_id), (tos.batch_id)) as others (batch_id)
            where froms.batch_id <> tos.batch_id
        )
        group by batches.batch_id, batches.batch_number
        having count(inputs.batch_deaths) = 0 and not bool_or(inputs.is_in_transit)
        order by count(*) desc, batches.batch_id
        limit 1
        """,
    )
    if not found:
        raise AnchorlineError("The farm has no batch for the loop: each one mixes with another.")
    return found[0]["batch_id"], found[0]["batch_number"]


class _Loop:
    """The growth model, step for step; it asks for each fact where it needs it."""

    def __init__(self, connection: Connection, batch_id: int) -> None:
        self._connection = connection
        self._batch_id = batch_id
        self.statements = 0

    def _ask(self, query: str, *values: object) -> list[Row]:
        self.statements += 1
        return _rows(self._connection, query, values)

    def run(self) -> dict[tuple[int, Any], tuple[int, float]]:
        """Return number and weight in g by assignment and day."""
        states: dict[tuple[int, Any], tuple[int, float]] = {}
        today: dict[int, Row] = {}
        starts = self._ask("select * from {}.int_growth_starts where batch_id = %s", self._batch_id)
        day = min(start["state_date"] for start in starts)
        while today or any(start["state_date"] >= day for start in starts):
            today.update({s["assignment_id"]: s for s in starts if s["state_date"] == day})
            yesterday, day = today, day + timedelta(days=1)
            today = {}
            for assignment_id, before in yesterday.items():
                state = self._step(assignment_id, before, yesterday, day)
                if state is not None:
                    today[assignment_id] = state
                    states[assignment_id, day] = (state["population"], state["weight_g"])
        return states

    def _step(
        self, assignment_id: int, before: Row, yesterday: dict[int, Row], day: Any
    ) -> Row | None:
        key = (assignment_id, day)
        place = "from {}.int_growth_inputs where assignment_id = %s and state_date = %s"
        periods = self._ask(f"select period_start_day, cap_weight_g {place}", *key)
        if not periods:
            return None
        temp_c = self._ask(f"select temp_c {place}", *key)[0]["temp_c"]
        recorded = self._ask(f"select recorded_deaths {place}", *key)[0]["recorded_deaths"]
        departed = self._ask(f"select departed_count {place}", *key)[0]["departed_count"]
        anchor_g = self._ask(f"select anchor_weight_g {place}", *key)[0]["anchor_weight_g"]
        arrivals = self._ask(
            "select from_assignment_id, fish_count, weight_g from {}.int_movements "
            "where to_assignment_id = %s and arrived_date = %s order by movement_key",
            *key,
        )
        parameters = self._ask(
            "select * from {}.int_growth_parameters where batch_id = %s "
            "and period_start_day = %s and lifecycle_stage_id = %s",
            self._batch_id,
            periods[0]["period_start_day"],
            before["lifecycle_stage_id"],
        )[0]
        arrived = sum(move["fish_count"] for move in arrivals)
        arrived_g = 0.0
        for move in arrivals:
            source = yesterday.get(move["from_assignment_id"])
            weight_g = (
                move["weight_g"]
                if move["weight_g"] is not None or source is None
                else (source["weight_g"])
            )
            arrived_g += move["fish_count"] * weight_g
        stayed = max(before["population"] - departed, 0)
        mixed_g = before["weight_g"]
        if arrived > 0:
            mixed_g = (stayed * before["weight_g"] + arrived_g) / (stayed + arrived)
        carry, died = before["mortality_carry"], recorded
        if recorded is None:
            due = stayed * parameters["daily_mortality_rate"] + carry
            died = int(due + 1e-9)
            carry = due - died
        weight_g = mixed_g
        if temp_c is not None and temp_c > 0 and parameters["tgc"] and parameters["tgc"] > 0:
            weight_g = (mixed_g ** (1 / 3) + parameters["tgc"] / 1000 * temp_c) ** 3
        cap_g = periods[0]["cap_weight_g"]
        weight_g = max(mixed_g, weight_g if cap_g is None else min(weight_g, cap_g))
        weight_g = weight_g if anchor_g is None else anchor_g
        stage_id = before["lifecycle_stage_id"]
        next_stage_id, most_g = parameters["next_lifecycle_stage_id"], parameters["max_weight_g"]
        if most_g is not None and weight_g >= most_g - 1e-9 and next_stage_id is not None:
            stage_id = next_stage_id
        return {
            "population": max(before["population"] + arrived - departed - died, 0),
            "weight_g": weight_g,
            "mortality_carry": carry,
            "lifecycle_stage_id": stage_id,
        }


def _rows(connection: Connection, query: str, values: tuple[object, ...] = ()) -> list[Row]:
    text = query.replace("{}", _INTERMEDIATE).encode()
    return connection.cursor(row_factory=dict_row).execute(text, values).fetchall()
