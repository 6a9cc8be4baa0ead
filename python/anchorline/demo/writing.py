"""Rows go into the database: by COPY, in blocks, all in the caller's transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time
from io import BytesIO
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import psycopg
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.csv as pa_csv  # type: ignore[import-untyped]
from psycopg import sql

from anchorline.demo.plan import EPOCH
from anchorline.demo.registry import Records
from anchorline.raw.schema import RAW_TABLES

Connection = psycopg.Connection[Any]
Block = Mapping[str, Any]

ROWS_PER_COPY: Final = 100_000

_FILLERS: Final[dict[str, Any]] = {
    "varchar": "",
    "text": "",
    "bigint": 0,
    "integer": 0,
    "smallint": 0,
    "numeric": 0,
    "double": 0.0,
    "boolean": False,
    "jsonb": "{}",
}
_NAMED_FILLERS: Final[dict[str, Any]] = {
    # columns that may not be null and that no model needs
    "user_id": 1,
    "created_by_id": 1,
    "initiated_by_id": 1,
    "reason_id": 1,
    "product_grade_id": 1,
    "selection_method": "AVERAGE",
    "created_via": "PLANNED",
    "hierarchy_role": "HOLDING",
    "cause": "UNKNOWN",
}
_ARROW_TYPES: Final[dict[str, Any]] = {
    "bigint": pa.int64(),
    "integer": pa.int64(),
    "smallint": pa.int64(),
    "numeric": pa.float64(),
    "double": pa.float64(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "timestamptz": pa.timestamp("s"),
}


def to_days(days: npt.NDArray[np.int64]) -> npt.NDArray[np.datetime64]:
    """Return days since 1970-01-01 as dates."""
    return days.astype("datetime64[D]")


def at_hour(day: date | int, hour: int) -> datetime:
    """Return an instant of a day (a date, or days since 1970-01-01), in UTC."""
    if isinstance(day, int):
        day = date.fromordinal(EPOCH.toordinal() + day)
    return datetime.combine(day, time(hour), UTC)


class Writer:
    """Writes rows to the raw tables and to the truth beside them."""

    def __init__(
        self, conn: Connection, raw_schema: str, truth_schema: str, recorded_on: date
    ) -> None:
        self._conn = conn
        self._raw_schema = raw_schema
        self._truth_schema = truth_schema
        self._recorded_at = at_hour(recorded_on, 5).replace(tzinfo=None)
        self.row_counts: dict[str, int] = {}

    def block(self, table: str, columns: Block) -> None:
        """Copy a block of rows of a raw table, its columns as arrays or single values.

        Columns that may not be null and are not given get a neutral value.
        """
        size = next(len(values) for values in columns.values() if isinstance(values, np.ndarray))
        if size == 0:
            return
        raw_table = RAW_TABLES[table]
        unknown = set(columns) - set(raw_table.column_names)
        if unknown:
            raise ValueError(f"{table} has no columns {sorted(unknown)}")
        arrays: dict[str, Any] = {}
        for column in raw_table.columns:
            if column.name in columns:
                values = columns[column.name]
            elif column.is_nullable:
                continue
            else:
                values = self._filler(column.name, column.type)
            arrays[column.name] = _arrow_array(values, column.type, size)
        self._copy(self._raw_schema, table, arrays)

    def truth(self, table: str, columns: Block, types: Mapping[str, str]) -> None:
        """Copy a block of rows of a table of the truth."""
        size = next(len(values) for values in columns.values() if isinstance(values, np.ndarray))
        if size:
            arrays = {
                name: _arrow_array(columns[name], type_name, size)
                for name, type_name in types.items()
            }
            self._copy(self._truth_schema, table, arrays)

    def flush(self, records: Records, truth_types: Mapping[str, Mapping[str, str]]) -> None:
        """Write and forget the rows, cases and movements that were collected."""
        for table, rows in records.rows.items():
            if table in RAW_TABLES:
                self._rows(table, rows)
                rows.clear()
        for table, rows in (("cases", records.cases), ("movements", records.movements)):
            types = truth_types[table]
            columns = {
                name: np.array([row.get(name) for row in rows], dtype=object) for name in types
            }
            self.truth(table, columns, types)
            rows.clear()

    def _rows(self, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Copy rows of one table; each names the columns that it has."""
        if not rows:
            return
        names = {name for row in rows for name in row}
        fillers = {
            column.name: None if column.is_nullable else self._filler(column.name, column.type)
            for column in RAW_TABLES[table].columns
            if column.name in names
        }
        columns = {
            name: np.array([row.get(name, filler) for row in rows], dtype=object)
            for name, filler in fillers.items()
        }
        self.block(table, {**dict.fromkeys(names - set(fillers), None), **columns})

    def _filler(self, name: str, type_name: str) -> Any:
        if name in _NAMED_FILLERS:
            return _NAMED_FILLERS[name]
        if type_name == "timestamptz":
            return self._recorded_at
        return _FILLERS.get(_base_type(type_name))

    def _copy(self, schema: str, table: str, arrays: Mapping[str, Any]) -> None:
        statement = sql.SQL("copy {} ({}) from stdin (format csv)").format(
            sql.Identifier(schema, table),
            sql.SQL(", ").join(sql.Identifier(name) for name in arrays),
        )
        rows = pa.table(dict(arrays))
        options = pa_csv.WriteOptions(include_header=False, quoting_style="needed")
        with self._conn.cursor() as cursor, cursor.copy(statement) as copy:
            for start in range(0, rows.num_rows, ROWS_PER_COPY):
                buffer = BytesIO()
                pa_csv.write_csv(rows.slice(start, ROWS_PER_COPY), buffer, options)
                copy.write(buffer.getvalue())
        name = table if schema == self._raw_schema else f"{schema}.{table}"
        self.row_counts[name] = self.row_counts.get(name, 0) + rows.num_rows


def _base_type(type_name: str) -> str:
    return type_name.split("(")[0].split()[0]


def _arrow_array(values: Any, type_name: str, size: int) -> Any:
    """Return values as Arrow reads them; a single value is repeated, NaN is null."""
    arrow_type = _ARROW_TYPES.get(_base_type(type_name), pa.string())
    if isinstance(values, np.ndarray):
        if values.dtype == object:
            return pa.array([_plain(value) for value in values], arrow_type)
        array = pa.array(values, from_pandas=True)
        return array if array.type == arrow_type else array.cast(arrow_type)
    return pa.repeat(pa.scalar(_plain(values), arrow_type), size)


def _plain(value: Any) -> Any:
    """Return a value without its time zone: the session's is UTC while the farm is loaded."""
    if isinstance(value, datetime):
        return value.replace(tzinfo=None)
    return value
