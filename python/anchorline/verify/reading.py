"""Reading a database for `verify`: by COPY, whole or in tables of a bounded size."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
import pandas as pd
import psycopg
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]
from psycopg import Connection, sql
from pyarrow import csv

from anchorline import settings
from anchorline.errors import AnchorlineError
from anchorline.reference.inputs import COLUMNS, Farm, Seeds
from anchorline.reference.tables import UNKNOWN, IntArray

PART_BYTES: Final = 4_000_000
"""How much text is parsed at a time; a table of it takes about as much."""

_ARROW_TYPES: Final = {
    "#": pa.int64(),
    "@": pa.date32(),
    "%": pa.float64(),
    "?": pa.bool_(),
    "$": pa.string(),
}
_SEEDS: Final[Mapping[str, str]] = {
    "anchor_types": "$anchor_type #precedence %weight_confidence",
    "baseline_stages": (
        "$lifecycle_stage_key %tgc %power_law_coefficient %exponent_n %exponent_m "
        "%daily_mortality_rate_percent"
    ),
    "baseline_temperature_profile": "#day_number %temp_c",
    "confidence_by_source": "$quantity $source %confidence",
    "forecast_constants": "$constant %value",
    "growth_constants": "$constant %value",
    "planning_constants": "$constant %value",
    "plausible_ranges": "$quantity %min_value %max_value",
    "selection_factors": "$selection_method %mean_weight_factor",
    "smoothing_constants": "$constant %value",
    "stage_weight_caps": "$lifecycle_stage_key %max_weight_g",
}


def read_built_farm(connection: Connection, target: str) -> tuple[Farm, Seeds]:
    """Read all that the reference computes from; AnchorlineError where nothing is built."""
    with built(connection, target):
        return read_views(connection, target, COLUMNS), read_seeds(connection, target)


def read_views(connection: Connection, target: str, views: Mapping[str, str]) -> Farm:
    """Read staging views, given with their columns; the others read as empty."""
    schema = settings.layer_schema("staging", target)
    return Farm.from_frames(
        {view: read(connection, schema, f"stg_{view}", kinds) for view, kinds in views.items()}
    )


def read_seeds(connection: Connection, target: str) -> Seeds:
    """Read the seeds of the growth model."""
    schema = settings.layer_schema("seeds", target)
    return Seeds(**{name: read(connection, schema, name, kinds) for name, kinds in _SEEDS.items()})


@contextmanager
def built(connection: Connection, target: str) -> Iterator[None]:
    """Say what to do where a view or table is missing."""
    try:
        yield
    except psycopg.errors.UndefinedTable as error:
        raise AnchorlineError(
            f"Database {connection.info.dbname} is not built on target {target}: run `dbt build` "
            'first, after eval "$(make -s env)".'
        ) from error


def read(connection: Connection, schema: str, relation: str, kinds: str) -> pd.DataFrame:
    """Read columns of a table or view; null becomes UNKNOWN, NaN or None, dates become days."""
    return as_frame(
        pa.concat_tables([empty_table(kinds), *stream(connection, schema, relation, kinds)]), kinds
    )


def stream(
    connection: Connection, schema: str, relation: str, kinds: str, *, where: str | None = None
) -> Iterator[pa.Table]:
    """Read columns of a table or view in tables of `PART_BYTES`; nothing where it has no rows.

    The connection is busy until all have been taken.
    """
    names = [column[1:] for column in kinds.split()]
    query = sql.SQL("copy (select {} from {}{}) to stdout (format csv)").format(
        sql.SQL(", ").join(map(sql.Identifier, names)),
        sql.Identifier(schema, relation),
        sql.SQL(f" where {where}" if where else ""),
    )
    text = io.BytesIO()
    with connection.cursor() as cursor, cursor.copy(query) as copy:
        for row in copy:  # the protocol has one message per row
            text.write(row)
            if text.tell() >= PART_BYTES:
                yield _parsed(text, kinds)
                text = io.BytesIO()
    if text.tell():
        yield _parsed(text, kinds)


def empty_table(kinds: str) -> pa.Table:
    """Return a table without rows; `kinds` are its columns (`anchorline.reference.inputs`)."""
    return pa.table({c[1:]: pa.array([], _ARROW_TYPES[c[0]]) for c in kinds.split()})


def as_frame(table: pa.Table, kinds: str) -> pd.DataFrame:
    """Return a table as the reference takes it: null is UNKNOWN, NaN or None, dates are days."""
    return pd.DataFrame({c[1:]: _values(table[c[1:]], c[0]) for c in kinds.split()})


def whole_numbers(table: pa.Table, column: str) -> IntArray:
    """Return a column of ids, counts or days, null as UNKNOWN."""
    return np.asarray(_values(table[column], "@" if pa.types.is_date(table[column].type) else "#"))


def _parsed(text: io.BytesIO, kinds: str) -> pa.Table:
    text.seek(0)
    return csv.read_csv(
        text,
        read_options=csv.ReadOptions(
            use_threads=False, column_names=[c[1:] for c in kinds.split()]
        ),
        parse_options=csv.ParseOptions(newlines_in_values=True),
        convert_options=csv.ConvertOptions(
            column_types={column[1:]: _ARROW_TYPES[column[0]] for column in kinds.split()},
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            null_values=[""],
            true_values=["t"],
            false_values=["f"],
        ),
    )


def _values(column: Any, kind: str) -> np.ndarray:
    if kind == "@":
        column = column.cast(pa.int32()).cast(pa.int64())
    if kind in "#@":
        return np.asarray(pc.fill_null(column, UNKNOWN).to_numpy(), dtype=np.int64)
    if kind == "%":
        return np.asarray(column.to_numpy(), dtype=np.float64)
    # one object per distinct value, not per row
    coded = column.combine_chunks().dictionary_encode()
    distinct = np.array([*coded.dictionary.to_pylist(), None], dtype=object)
    return np.asarray(distinct[pc.fill_null(coded.indices, len(distinct) - 1).to_numpy()])
