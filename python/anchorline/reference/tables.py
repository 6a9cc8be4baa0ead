"""Small tools on columns: typed access, look-ups by key, whole shares, rejected rows.

Null is `UNKNOWN` in columns of whole numbers (ids, counts, days) and NaN in columns of reals.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
RealArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
TextArray = NDArray[np.object_]
Scalar = TypeVar("Scalar", bound=np.generic)

UNKNOWN: Final = int(np.iinfo(np.int64).min)
"""A null id, count or day. No true one is as low."""

_DAY_SPAN: Final = 1 << 22
"""More days than any calendar here has; makes one key of a position and a day."""


def ints(frame: pd.DataFrame, column: str) -> IntArray:
    """Return a column of ids, counts or days as int64, null as `UNKNOWN`."""
    return np.asarray(frame[column].to_numpy(), dtype=np.int64)


def reals(frame: pd.DataFrame, column: str) -> RealArray:
    """Return a column of measures as float64, null as NaN."""
    return np.asarray(frame[column].to_numpy(), dtype=np.float64)


def day_numbers(frame: pd.DataFrame, column: str) -> IntArray:
    """Return a column of dates as days since 1970-01-01."""
    return np.asarray(frame[column].to_numpy().astype("datetime64[D]").astype(np.int64))


def flags(frame: pd.DataFrame, column: str) -> BoolArray:
    """Return a column of yes and no as booleans."""
    return np.asarray(frame[column].to_numpy(), dtype=np.bool_)


def texts(frame: pd.DataFrame, column: str) -> TextArray:
    """Return a column of texts as objects, null as None."""
    values = frame[column].to_numpy(dtype=object).copy()
    values[frame[column].isna().to_numpy(dtype=np.bool_)] = None
    return np.asarray(values, dtype=np.object_)


def positions(keys: IntArray, of: IntArray) -> IntArray:
    """Return where each key stands in `of`, whose entries are unique; -1 where it does not."""
    return np.asarray(pd.Index(of).get_indexer(pd.Index(keys)), dtype=np.int64)


def take(values: NDArray[Scalar], at: IntArray, missing: Any) -> NDArray[Scalar]:
    """Return `values[at]`, and `missing` where the position is -1."""
    found = at >= 0
    if len(values) == 0:
        return np.full(len(at), missing, dtype=values.dtype)
    return np.where(found, values[np.where(found, at, 0)], missing).astype(values.dtype)


def day_key(position: IntArray, day: IntArray) -> IntArray:
    """Return one sortable key for a position (0, 1, ...) and a day (since 1970-01-01)."""
    return np.asarray(position * _DAY_SPAN + (day + _DAY_SPAN // 2), dtype=np.int64)


def sum_by_key(keys: IntArray, amounts: IntArray) -> tuple[IntArray, IntArray]:
    """Return the distinct keys in order and the exact sum of the amounts of each."""
    distinct, inverse = np.unique(keys, return_inverse=True)
    sums = np.zeros(len(distinct), dtype=np.int64)
    np.add.at(sums, inverse, amounts)
    return distinct, sums


def whole_shares(totals: IntArray, weights: IntArray, groups: IntArray) -> IntArray:
    """Share whole numbers in proportion to weights, by the largest remainder.

    Within a group, row i gets `floor(total * weight_i / sum of weights)`; what is left over goes,
    one each, to the rows with the largest remainders, on ties to the row that stands first. All
    in integers, so that two computers agree.

    Parameters
    ----------
    totals : int64 [n]
        Number to be shared in the row's group (the same in all its rows), 0 or more.
    weights : int64 [n]
        0 or more; a group whose weights are all 0 gets nothing.
    groups : int64 [n]
        Group of the row; rows of a group need not stand together.

    Returns
    -------
    int64 [n]
        Shares; they sum to the total in each group that has a weight above 0.

    """
    if len(totals) == 0:
        return np.zeros(0, dtype=np.int64)
    _, group = np.unique(groups, return_inverse=True)
    weight_sums = np.zeros(int(group.max()) + 1, dtype=np.int64)
    np.add.at(weight_sums, group, weights)
    of_group = weight_sums[group]
    divisor = np.maximum(of_group, 1)
    # total * weight may exceed int64 where a farm counts in billions: then Python's integers
    if float(totals.max()) * float(weights.max()) < 2.0**62:
        product = totals * weights
        shares, remainders = product // divisor, product % divisor
    else:
        exact = [
            divmod(int(t) * int(w), int(d))
            for t, w, d in zip(totals, weights, divisor, strict=True)
        ]
        shares = np.array([q for q, _ in exact], dtype=np.int64)
        remainders = np.array([r for _, r in exact], dtype=np.int64)
    given = np.zeros(len(weight_sums), dtype=np.int64)
    np.add.at(given, group, shares)
    left_over = totals - given[group]
    order = np.lexsort((np.arange(len(totals)), -remainders, group))
    starts = np.concatenate(([0], np.cumsum(np.bincount(group))[:-1]))
    rank = np.empty(len(totals), dtype=np.int64)
    rank[order] = np.arange(len(totals)) - starts[group[order]]
    return np.where(of_group > 0, shares + (rank < left_over), 0).astype(np.int64)


REJECTED_COLUMNS: Final = ["table_name", "record_id", "reason"]


def rejected(table_name: str, record_ids: IntArray, reason: str | TextArray) -> pd.DataFrame:
    """Return rows of the list of rejected records."""
    return pd.DataFrame(
        {"table_name": table_name, "record_id": record_ids, "reason": reason},
        columns=REJECTED_COLUMNS,
    )


def first_reason(size: int, reasons: Mapping[str, BoolArray]) -> TextArray:
    """Return for each of `size` rows the first reason that is true of it, else None."""
    found = np.full(size, None, dtype=object)
    for reason, is_true in reversed(list(reasons.items())):
        found[np.asarray(is_true, dtype=np.bool_)] = reason
    return found


def split_rejected(
    frame: pd.DataFrame, table_name: str, key: str, reasons: Mapping[str, BoolArray]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split rows into those to use and the list of those to reject, with the first reason."""
    reason = first_reason(len(frame), reasons)
    bad = np.array([r is not None for r in reason], dtype=np.bool_) if len(reason) else reason == 0
    bad = bad.astype(np.bool_)
    return (
        frame.loc[~bad].reset_index(drop=True),
        rejected(table_name, ints(frame, key)[bad], reason[bad]),
    )
