"""Two frames of the same rows, column by column: how far apart, and which rows differ first.

Pure functions. Whole numbers are int64 with null as `UNKNOWN`, or nullable; days are days since
1970-01-01.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from anchorline.reference.tables import UNKNOWN, IntArray, positions

RELATIVE_TOLERANCE: Final = 1e-9
"""How far unrounded values may be apart, relative to the value."""


@dataclass(frozen=True)
class Rule:
    """How near a column of both sides must be.

    Without anything given, equal. `decimals`: within one unit of the last published place; in a
    sum of published values each may be that far apart: `terms` is the column with their number.
    `scale`: within 1e-9 of the value, or of the scale where the value is smaller (of values that
    a difference brings near 0, the digits are those of what was subtracted). `label`: what to
    call the column, where not by its name.
    """

    column: str
    decimals: int | None = None
    scale: float | None = None
    label: str | None = None
    terms: str | None = None

    @property
    def tolerance(self) -> float:
        """How far values may be apart: relative with a `scale`, else absolute, for each term."""
        if self.scale is not None:
            return RELATIVE_TOLERANCE
        return 0.0 if self.decimals is None else 10.0**-self.decimals

    @property
    def text(self) -> str:
        """What the rule asks for, in words."""
        if self.scale is not None:
            return "1e-9 relative"
        if self.decimals is None:
            return "equal"
        each = "" if self.terms is None else f" for each of {self.terms}"
        return f"one in decimal {self.decimals}{each}"


@dataclass(frozen=True)
class ColumnDifference:
    """How far a column is apart.

    `largest` is absolute, of unrounded values relative, and NaN for columns that are no
    numbers; `differing` counts the rows beyond what the rule allows.
    """

    name: str
    rule: str
    largest: float
    differing: int


@dataclass(frozen=True)
class TableComparison:
    """The outcome for one table: per column, the rows on one side only, the first that differ."""

    name: str
    row_count: int
    columns: list[ColumnDifference]
    only_in_database: int
    only_in_reference: int
    first_rows: pd.DataFrame

    @property
    def agrees(self) -> bool:
        """Whether nothing differs."""
        return (
            not any(column.differing for column in self.columns)
            and self.only_in_database == 0
            and self.only_in_reference == 0
        )


def days_of(dates: pd.Series) -> IntArray:
    """Return dates as days since 1970-01-01."""
    return np.asarray(dates.to_numpy().astype("datetime64[D]").astype(np.int64))


def exact(*columns: str) -> list[Rule]:
    """Return the rules of columns that must be equal."""
    return [Rule(column) for column in columns]


def published(decimals: Mapping[str, int], *columns: str) -> list[Rule]:
    """Return the rules of rounded columns."""
    return [Rule(column, decimals=decimals[column]) for column in columns]


def unrounded(*columns: str, scale: float = 1e-300) -> list[Rule]:
    """Return the rules of unrounded columns."""
    return [Rule(column, scale=scale) for column in columns]


def column_difference(
    rule: Rule, ours: pd.Series, theirs: pd.Series, terms: pd.Series | None = None
) -> tuple[ColumnDifference, np.ndarray]:
    """Compare a column row by row; returns how far it is apart, and which rows are too far.

    `terms` is the number of published values of which the rule's column is the sum.
    """
    is_text = ours.dtype == object or not pd.api.types.is_numeric_dtype(ours.dtype)
    if is_text:
        bad, largest = ~_equal(ours, theirs), float("nan")
    else:
        x, y = _reals(ours), _reals(theirs)
        gap = np.where(np.isnan(x) & np.isnan(y), 0.0, np.abs(x - y))
        if rule.scale is not None:
            gap = gap / np.fmax(np.abs(y), rule.scale)
            bad = ~(gap <= rule.tolerance)
        else:
            tolerance = np.float64(rule.tolerance)
            if terms is not None:
                tolerance = tolerance * np.fmax(_reals(terms), 1.0)
            bad = ~(gap <= tolerance * (1 + 1e-6) + 1e-12)
        largest = float(np.nanmax(gap)) if len(gap) and not np.all(np.isnan(gap)) else 0.0
    label = rule.label or rule.column
    return ColumnDifference(label, rule.text, largest, int(bad.sum())), bad


def compare_tables(
    name: str,
    ours: pd.DataFrame,
    theirs: pd.DataFrame,
    keys: tuple[IntArray, IntArray],
    rules: Sequence[Rule],
    shown: Sequence[str],
    limit: int,
) -> TableComparison:
    """Compare what the reference computed with a table of the database.

    Parameters
    ----------
    name : str
        Name of the table.
    ours, theirs : frame
        What the reference and the database hold; both have the columns of the rules.
    keys : (int64 [ours], int64 [theirs])
        One key per row of each, unique on each side; rows of equal keys are compared.
    rules : sequence of Rule
        Per column.
    shown : sequence of str
        Columns of `theirs` by which a person finds a row; the last one sorts first.
    limit : int
        How many of the rows that differ are returned.

    """
    at = positions(keys[1], keys[0])
    found = at >= 0
    is_met = np.zeros(len(ours), dtype=np.bool_)
    is_met[at[found]] = True
    b = theirs[found].reset_index(drop=True)
    a = ours.take(at[found]).reset_index(drop=True)
    columns, reports = [], []
    for rule in rules:
        terms = None if rule.terms is None else b[rule.terms]
        difference, bad = column_difference(rule, a[rule.column], b[rule.column], terms)
        columns.append(difference)
        if bad.any():
            rows = b.loc[bad, list(shown)].assign(
                column=difference.name,
                database=b[rule.column][bad].astype(object),
                reference=a[rule.column][bad].astype(object),
            )
            reports.append(rows)
    return TableComparison(
        name=name,
        row_count=len(b),
        columns=columns,
        only_in_database=int((~found).sum()),
        only_in_reference=int((~is_met).sum()),
        first_rows=_first(reports, shown, limit),
    )


def combined(parts: Sequence[TableComparison], shown: Sequence[str], limit: int) -> TableComparison:
    """Return the outcome for a table that was compared in parts, each row in one of them.

    `shown` and `limit` are those of the parts: of rows of the same names all are in one part.
    """
    reports = [part.first_rows for part in parts if len(part.first_rows)]
    return TableComparison(
        name=parts[0].name,
        row_count=sum(part.row_count for part in parts),
        columns=[
            ColumnDifference(
                name=of_parts[0].name,
                rule=of_parts[0].rule,
                largest=float(np.fmax.reduce([column.largest for column in of_parts])),
                differing=sum(column.differing for column in of_parts),
            )
            for of_parts in zip(*(part.columns for part in parts), strict=True)
        ],
        only_in_database=sum(part.only_in_database for part in parts),
        only_in_reference=sum(part.only_in_reference for part in parts),
        first_rows=_first(reports, shown, limit),
    )


def _first(reports: list[pd.DataFrame], shown: Sequence[str], limit: int) -> pd.DataFrame:
    """Return the first rows of all reports, with their days as text."""
    if not reports:
        return pd.DataFrame()
    rows = pd.concat(reports)
    dates = [column for column in shown if column.endswith("_date")]
    for column in dates:  # a number of days, or already a text
        rows[column] = rows[column].to_numpy().astype("datetime64[D]").astype("datetime64[s]")
    rows = rows.sort_values(list(reversed(shown)), kind="stable", na_position="first")
    rows = rows.head(limit).reset_index(drop=True)
    for column in dates:
        rows[column] = np.datetime_as_string(rows[column].to_numpy(), unit="D")
    return rows


def _reals(values: pd.Series) -> np.ndarray:
    if values.dtype == np.int64:
        whole = values.to_numpy()
        return np.where(whole == UNKNOWN, np.nan, whole.astype(np.float64))
    return np.asarray(values.to_numpy(dtype=np.float64, na_value=np.nan), dtype=np.float64)


def _equal(a: pd.Series, b: pd.Series) -> np.ndarray:
    if isinstance(a.dtype, pd.StringDtype) and a.dtype == b.dtype:
        same = (a == b).to_numpy(dtype=np.bool_, na_value=False)
        return np.asarray(same | (a.isna() & b.isna()).to_numpy(dtype=np.bool_))
    same = (a.astype(object) == b.astype(object)).to_numpy(dtype=np.bool_)
    return np.asarray(same | (a.isna() & b.isna()).to_numpy(dtype=np.bool_))
