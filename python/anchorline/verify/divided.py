"""A farm on disk, records and published tables, divided into groups (`verify.groups`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa  # type: ignore[import-untyped]
from psycopg import Connection, sql

from anchorline import settings
from anchorline.reference.activity import check_assignments
from anchorline.reference.inputs import COLUMNS, Farm, Parameters, Seeds
from anchorline.reference.tables import (
    REJECTED_COLUMNS,
    BoolArray,
    IntArray,
    ints,
    positions,
    reals,
    take,
)
from anchorline.reference.temperatures import DaySums, day_sums
from anchorline.verify.groups import SET_ASIDE, Groups, Homes, Ids, find_groups
from anchorline.verify.outlook import TABLES as OUTLOOK_TABLES
from anchorline.verify.reading import as_frame, stream, whole_numbers
from anchorline.verify.smoothed import TABLES as SMOOTHED_TABLES
from anchorline.verify.spool import Spool
from anchorline.verify.states import ENGINE, ENGINE_COLUMNS, STATE_COLUMNS, STATES

_READINGS: Final = "environmental_readings"
_SUMS: Final = "#container_id #day %total_c #reading_count"
_WEIGHED_IN: Final = {
    "growth_samples": "growth_sample",
    "treatments": "vaccination",
    "manual_anchors": "manual",
}
"""The kind of anchor whose records a view holds, of those that are set aside."""


def read_groups(
    connection: Connection,
    target: str,
    farm: Farm,
    seeds: Seeds,
    parameters: Parameters,
    states_of_a_group: int,
) -> Groups:
    """Find the groups of a farm; of its feed only that is read which may tie lineages."""
    stays, _ = check_assignments(farm, parameters, seeds)
    relation = sql.Identifier(settings.layer_schema("staging", target), "stg_feeding_events")

    def container_feed(containers: IntArray) -> tuple[IntArray, IntArray]:
        query = sql.SQL(
            "select distinct container_id, feeding_date - date '1970-01-01' from {} where"
            " assignment_id is null and batch_id is null and feeding_date is not null"
            " and container_id = any(%s)"
        )
        rows = connection.execute(query.format(relation), (containers.tolist(),)).fetchall()
        columns = np.array(rows, dtype=np.int64).reshape(-1, 2)
        return columns[:, 0], columns[:, 1]

    return find_groups(
        farm,
        stays,
        container_feed,
        days_around=max(parameters.max_interpolation_gap_days, parameters.max_nearest_gap_days),
        # few are followed to the last day that a forecast may have
        days_ahead=int(seeds.forecast("longest_forecast_days")) // 2,
        states_of_a_group=states_of_a_group,
    )


class DividedFarm:
    """The records of a farm and what is published of it, on disk, by groups."""

    def __init__(self, groups: Groups, batch_ids: Sequence[int] | None, folder: Path) -> None:
        """Keep what the groups of some batches need; None: all groups."""
        self._groups = groups
        self._kept: BoolArray = (
            np.ones(groups.count, dtype=np.bool_)
            if batch_ids is None
            else groups.holding(batch_ids)
        )
        self._spool = Spool(folder)
        self._weighed: dict[str, list[tuple[IntArray, IntArray]]] = {}
        self._names: list[str] = []

    @property
    def numbers(self) -> list[int]:
        """The groups, in order."""
        return [int(number) for number in np.flatnonzero(self._kept)]

    def set_records_aside(
        self, connection: Connection, target: str, seeds: Seeds, parameters: Parameters
    ) -> pd.DataFrame:
        """Read the staging views that are not read whole; returns the readings to reject."""
        schema = settings.layer_schema("staging", target)
        for view in SET_ASIDE:
            tables = stream(connection, schema, f"stg_{view}", COLUMNS[view])
            self._spool.write(view, COLUMNS[view], self._records(view, tables))
        bad: list[pd.DataFrame] = []
        tables = stream(connection, schema, f"stg_{_READINGS}", COLUMNS[_READINGS])
        self._spool.write(_READINGS, _SUMS, self._water(tables, seeds, parameters, bad))
        return pd.concat([pd.DataFrame(columns=REJECTED_COLUMNS), *bad], ignore_index=True)

    def set_tables_aside(self, connection: Connection, target: str) -> list[str]:
        """Read the tables to compare; names those that lack something, and what."""
        self._published(connection, target, "marts", STATES, STATE_COLUMNS)
        self._published(
            connection, target, "intermediate", ENGINE, ENGINE_COLUMNS, where="not is_in_transit"
        )
        missing = []
        for table in (*SMOOTHED_TABLES, *OUTLOOK_TABLES):
            schema = settings.layer_schema(table.layer, target)
            there = {
                str(row[0])
                for row in connection.execute(
                    "select column_name from information_schema.columns"
                    " where table_schema = %s and table_name = %s",
                    (schema, table.name),
                )
            }
            lacking = [column[1:] for column in table.columns.split() if column[1:] not in there]
            if not there:
                missing.append(f"{schema}.{table.name}")
            elif lacking:
                missing.append(f"{schema}.{table.name} ({', '.join(lacking)})")
            else:
                self._published(connection, target, table.layer, table.name, table.columns)
        return missing

    def farm(self, number: int) -> Farm:
        """Return the records of a group, without its readings."""
        pa.default_memory_pool().release_unused()  # of the group before
        set_aside = {view: self._spool.frame(view, number) for view in SET_ASIDE}
        return Farm.from_frames(self._groups.part(number) | set_aside)

    def sums(self, number: int) -> DaySums:
        """Return the readings around the stays of a group, added up."""
        frame = self._spool.frame(_READINGS, number)
        return DaySums(
            ints(frame, "container_id"),
            ints(frame, "day"),
            reals(frame, "total_c"),
            ints(frame, "reading_count"),
        )

    def tables(self, number: int) -> dict[str, pd.DataFrame]:
        """Return the published rows of a group, by table."""
        return {name: self._spool.frame(name, number) for name in self._names}

    def _records(self, view: str, tables: Iterator[pa.Table]) -> Iterator[_Piece]:
        for table in tables:
            homes = self._groups.homes(view, _ids(table))
            if view in _WEIGHED_IN:
                key = whole_numbers(table, table.column_names[0])
                self._weighed.setdefault(_WEIGHED_IN[view], []).append((key, homes.group))
            yield _piece(table, homes.only(self._kept))

    def _water(
        self,
        tables: Iterator[pa.Table],
        seeds: Seeds,
        parameters: Parameters,
        bad: list[pd.DataFrame],
    ) -> Iterator[_Piece]:
        """Add up readings as they come; appends those to reject to `bad`."""
        farm = self._groups.farm
        for table in tables:
            readings = replace(farm, environmental_readings=as_frame(table, COLUMNS[_READINGS]))
            sums, rejected = day_sums(readings, parameters, seeds)
            bad.append(rejected)
            homes = self._groups.water.homes(sums.container_id, sums.day)
            columns = [sums.container_id, sums.day, sums.total_c, sums.reading_count]
            names = [column[1:] for column in _SUMS.split()]
            yield _piece(pa.table(columns, names=names), homes.only(self._kept))

    def _published(
        self,
        connection: Connection,
        target: str,
        layer: str,
        name: str,
        kinds: str,
        *,
        where: str | None = None,
    ) -> None:
        owner = self._owner_of_anchors if name == "weight_anchors" else self._owner
        schema = settings.layer_schema(layer, target)
        tables = stream(connection, schema, name, kinds, where=where)
        pieces = (_piece(t, Homes.each(owner(t)).only(self._kept)) for t in tables)
        self._spool.write(name, kinds, pieces)
        self._names.append(name)

    def _owner(self, table: pa.Table) -> IntArray:
        """Return the group of each row of a published table, by its assignment or batch."""
        view = "assignments" if "assignment_id" in table.column_names else "batches"
        key = "assignment_id" if view == "assignments" else "batch_id"
        return self._groups.of(view, whole_numbers(table, key))

    def _owner_of_anchors(self, table: pa.Table) -> IntArray:
        """Return the group of each weight anchor: that of its record, by which it is compared.

        A published row may name another assignment. Where there is no such record, or its group
        is not kept, the row is found by the assignment that it names.
        """
        owner = self._owner(table)
        kind = np.asarray(table["anchor_type"].to_numpy(zero_copy_only=False), dtype=object)
        record_id = whole_numbers(table, "record_id")
        for anchor_type, ids, groups in self._records_weighed():
            rows = np.flatnonzero(kind == anchor_type)
            found = take(groups, positions(record_id[rows], ids), -1)
            is_kept = (found >= 0) & self._kept[found]
            owner[rows[is_kept]] = found[is_kept]
        return owner

    def _records_weighed(self) -> Iterator[tuple[str, IntArray, IntArray]]:
        """Return the kinds of anchors, each with the ids of its records and their groups."""
        farm, owners = self._groups.farm, self._groups.owners
        for kind, view in (
            ("transfer", "transfer_actions"),
            ("health_sampling", "health_sampling_events"),
        ):
            frame = getattr(farm, view)
            yield kind, ints(frame, str(frame.columns[0])), owners[view]
        for kind, parts in self._weighed.items():
            ids, groups = (np.concatenate(columns) for columns in zip(*parts, strict=True))
            yield kind, ids, groups


_Piece = tuple[pa.Table, IntArray, IntArray]


def _piece(table: pa.Table, homes: Homes) -> _Piece:
    return table, homes.row, homes.group


def _ids(table: pa.Table) -> Ids:
    return lambda column: whole_numbers(table, column)
