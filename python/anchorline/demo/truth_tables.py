"""The schema `demo_truth`: what really happened, which no model reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import numpy as np
import psycopg
from psycopg import sql

from anchorline.demo.plan import LineagePlan
from anchorline.demo.truth import Truth
from anchorline.demo.writing import Writer, to_days

Connection = psycopg.Connection[Any]

TRUTH_SCHEMA: Final = "demo_truth"

TRUTH_TYPES: Final[Mapping[str, Mapping[str, str]]] = {
    "daily_states": {
        "assignment_id": "bigint",
        "state_date": "date",
        "batch_id": "bigint",
        "weight_g": "double precision",
        "population": "bigint",
        "temp_c": "double precision",
        "arrived_count": "bigint",
        "departed_count": "bigint",
        "mortality_count": "bigint",
    },
    "movements": {
        "movement_id": "bigint",
        "movement_type": "text",
        "from_assignment_id": "bigint",
        "to_assignment_id": "bigint",
        "movement_date": "date",
        "arrival_date": "date",
        "fish_count": "bigint",
        "weight_g": "double precision",
        "is_recorded": "boolean",
    },
    "cases": {
        "case_id": "bigint",
        "case_name": "text",
        "table_name": "text",
        "record_id": "bigint",
        "description": "text",
    },
    "farm": {
        "raw_schema": "text",
        "batches": "integer",
        "as_of_date": "date",
        "seed": "bigint",
        "has_readings": "boolean",
        "farm_version": "integer",
        "readings_per_day": "integer",
    },
}

_COMMENTS: Final = {
    "daily_states": (
        "One row per assignment and active day of the demo farm: the true state at its end."
    ),
    "movements": "One row per group of fish that arrived, moved or left: what truly happened.",
    "cases": "One row per record that shows a special case of the growth model.",
    "farm": "One row: the parameters from which the demo farm was made.",
}


@dataclass(frozen=True)
class FarmParameters:
    """What a farm is made from: the same parameters make the same farm to the byte."""

    raw_schema: str
    batches: int
    as_of: date
    seed: int
    readings: bool
    farm_version: int
    readings_per_day: int | None = None
    """Of each sensor; None: four or six, as sensors differ."""

    def describe(self) -> str:
        """Return the parameters as a person reads them."""
        noun = "batch" if self.batches == 1 else "batches"
        readings = "" if self.readings else ", without readings"
        if self.readings and self.readings_per_day is not None:
            readings = f", readings per day: {self.readings_per_day}"
        return (
            f"{self.batches} {noun} as of {self.as_of} with seed {self.seed}{readings}, "
            f"in schema {self.raw_schema}"
        )


def create_truth_tables(conn: Connection) -> None:
    """Create the tables of the truth anew, empty."""
    # "if not exists" asks for the right to create schemas even where the schema is there.
    has_schema = conn.execute("select to_regnamespace(%s) is not null", (TRUTH_SCHEMA,)).fetchone()
    if has_schema != (True,):
        conn.execute(sql.SQL("create schema {}").format(sql.Identifier(TRUTH_SCHEMA)))
    for table, columns in TRUTH_TYPES.items():
        name = sql.Identifier(TRUTH_SCHEMA, table)
        conn.execute(sql.SQL("drop table if exists {}").format(name))
        definitions = [
            sql.SQL("{} {}").format(sql.Identifier(column), sql.SQL(column_type))
            for column, column_type in columns.items()
        ]
        conn.execute(sql.SQL("create table {} ({})").format(name, sql.SQL(", ").join(definitions)))
        conn.execute(
            sql.SQL("comment on table {} is {}").format(name, sql.Literal(_COMMENTS[table]))
        )


def finish_truth_tables(conn: Connection, parameters: FarmParameters) -> None:
    """Add keys after the load and write down what the farm was made from."""
    for table, key in (
        ("daily_states", "assignment_id, state_date"),
        ("movements", "movement_id"),
        ("cases", "case_id"),
    ):
        name = sql.Identifier(TRUTH_SCHEMA, table)
        conn.execute(sql.SQL("alter table {} add primary key ({})").format(name, sql.SQL(key)))
        conn.execute(sql.SQL("analyze {}").format(name))
    conn.execute(
        sql.SQL(
            "insert into {} (raw_schema, batches, as_of_date, seed, has_readings, farm_version, "
            "readings_per_day) values (%s, %s, %s, %s, %s, %s, %s)"
        ).format(sql.Identifier(TRUTH_SCHEMA, "farm")),
        (
            parameters.raw_schema,
            parameters.batches,
            parameters.as_of,
            parameters.seed,
            parameters.readings,
            parameters.farm_version,
            parameters.readings_per_day,
        ),
    )


def loaded_farm(conn: Connection) -> FarmParameters | None:
    """Return the parameters of the demo farm that the database holds, if it holds one."""
    found = conn.execute("select to_regclass(%s) is not null", (f"{TRUTH_SCHEMA}.farm",)).fetchone()
    if found != (True,):
        return None
    row = conn.execute(
        sql.SQL(
            # an older farm's table has no column readings_per_day
            "select raw_schema, batches, as_of_date, seed, has_readings, farm_version, "
            "(to_jsonb(farm) ->> 'readings_per_day')::integer from {} as farm"
        ).format(sql.Identifier(TRUTH_SCHEMA, "farm"))
    ).fetchone()
    return None if row is None else FarmParameters(*row)


def write_daily_states(plan: LineagePlan, truth: Truth, writer: Writer) -> None:
    """Write the true states of a lineage."""
    rows, columns = np.nonzero(truth.is_active)
    assignment_ids = np.array([stay.assignment_id for stay in plan.stays], dtype=np.int64)
    batch_ids = np.array([stay.batch.batch_id for stay in plan.stays], dtype=np.int64)
    writer.truth(
        "daily_states",
        {
            "assignment_id": assignment_ids[rows],
            "state_date": to_days(columns + truth.origin_day),
            "batch_id": batch_ids[rows],
            "weight_g": truth.weight_g[rows, columns],
            "population": truth.population[rows, columns],
            "temp_c": truth.temp_c[rows, columns],
            "arrived_count": truth.arrived[rows, columns],
            "departed_count": truth.departed[rows, columns],
            "mortality_count": truth.died[rows, columns],
        },
        TRUTH_TYPES["daily_states"],
    )
