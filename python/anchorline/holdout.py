"""How well the series know a weight that they have not seen: samples hidden, and compared.

Every second or third growth sample of each assignment is taken away, the reference computes the
farm again without them, and what its series say on those days is held against what was weighed.
The database is read, and nothing in it is changed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import pandas as pd
from psycopg import Connection

from anchorline.comparison import days_of
from anchorline.errors import AnchorlineError
from anchorline.reference.inputs import Farm, Parameters, Seeds
from anchorline.reference.observations import (
    Constants,
    StayDays,
    inverse_variance_mean,
    observations,
    stay_days,
)
from anchorline.reference.smoothing import BAND_WIDTH, Smoothed, smoothed_series
from anchorline.reference.states import Result, daily_assignment_states
from anchorline.reference.tables import IntArray, RealArray, day_key, ints, positions, reals, take
from anchorline.verify import batch_ids
from anchorline.verify.reading import read_built_farm

CLASSES: Final = (
    ("0", 0, 0),
    ("1-7", 1, 7),
    ("8-14", 8, 14),
    ("15-30", 15, 30),
    ("31+", 31, 1 << 30),
    ("no anchor", -1, -1),
)
"""Classes of days since the last anchor that was left: name, first and last day."""

SERIES: Final = ("forward", "filtered", "smoothed", "linear")
"""The state as known on the day; the filter's, with its band; in hindsight; and a straight line."""

_ORDINALS: Final = {2: "second", 3: "third"}


def holdout(
    connection: Connection,
    target: str,
    *,
    parameters: Parameters,
    every: Sequence[int] = (2, 3),
    batch_numbers: Sequence[str] = (),
    truth: pd.DataFrame | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> pd.DataFrame:
    """Hide every second and every third growth sample of a farm; see `score` for the columns.

    A column `hidden` before them says which were hidden. With the truth of a demo farm
    (`verify.truth.read_truth`) it stands in the place of the samples. Raises AnchorlineError where
    the database is not built, or a batch is not known.
    """
    tell("Reading the staging views")
    farm, seeds = read_built_farm(connection, target)
    wanted = batch_ids(farm, batch_numbers)
    whole = daily_assignment_states(farm, seeds, parameters)
    tables = []
    for step in every:
        tell(f"Computing the farm with every {_ORDINALS[step]} sample hidden")
        records = hidden_samples(whole, step)
        left = without_samples(farm, records)
        result = daily_assignment_states(left, seeds, parameters)
        checks = whole.measurements[
            (whole.measurements["anchor_type"] == "growth_sample")
            & whole.measurements["record_id"].isin(records)
        ]
        rows = _with_truth(estimates(result, seeds, checks), truth)
        tables.append(score(rows, wanted).assign(hidden=f"every {_ORDINALS[step]} sample"))
    return _hidden_first(pd.concat(tables, ignore_index=True))


def health_sampling_check(
    connection: Connection,
    target: str,
    *,
    parameters: Parameters,
    batch_numbers: Sequence[str] = (),
    truth: pd.DataFrame | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> pd.DataFrame:
    """Compare the series with the health samplings, of which none is an anchor.

    Columns as of `holdout`; nothing is hidden. Raises AnchorlineError where they are anchors.
    """
    if parameters.health_samplings_are_anchors:
        raise AnchorlineError(
            "Health samplings are anchors here (var health_samplings_are_anchors): the series "
            "have seen them, so that they check nothing."
        )
    tell("Reading the staging views")
    farm, seeds = read_built_farm(connection, target)
    wanted = batch_ids(farm, batch_numbers)
    tell(f"Computing the farm as of {parameters.as_of_date}")
    result = daily_assignment_states(farm, seeds, parameters)
    measured = result.measurements
    checks = measured[measured["anchor_status"] == "not_an_anchor"]
    rows = _with_truth(estimates(result, seeds, checks), truth)
    return _hidden_first(score(rows, wanted).assign(hidden="nothing"))


def hidden_samples(result: Result, every: int) -> IntArray:
    """Choose the growth samples to hide: of each assignment every second (third, ...) day's.

    Days with samples that anchor a state are counted by assignment, in order; the first always
    stays. Only days with nothing but growth samples are counted: on others a weighing would
    still say what was hidden. Returns record ids.
    """
    measured = result.measurements
    used = measured[measured["anchor_status"].isin(["used", "superseded"])]
    state_key = _state_key(result.unrounded, "state_date")
    used = used.assign(key=_state_key(used, "anchor_date"))
    used = used[np.isin(used["key"], state_key)]
    is_sample = used["anchor_type"] == "growth_sample"
    samples = used[is_sample & ~used["key"].isin(used["key"][~is_sample])]
    days = samples[["assignment_id", "key"]].drop_duplicates().sort_values("key")
    number = days.groupby("assignment_id").cumcount() + 1
    hidden = days["key"][number % every == 0]
    return ints(samples[samples["key"].isin(hidden)], "record_id")


def without_samples(farm: Farm, record_ids: IntArray) -> Farm:
    """Return the farm as if some growth samples had not been taken."""
    samples = farm.growth_samples
    is_kept = ~np.isin(ints(samples, "growth_sample_id"), record_ids)
    return replace(farm, growth_samples=samples[is_kept].reset_index(drop=True))


def estimates(result: Result, seeds: Seeds, checks: pd.DataFrame) -> pd.DataFrame:
    """Return what each series says on the days of measurements that it has not seen.

    Parameters
    ----------
    result : Result
        The farm as computed without the measurements.
    seeds : Seeds
        For the constants of the smoothed series.
    checks : frame
        Measurements, with the columns of `Result.measurements`; several of an assignment and day
        are one (inverse-variance mean). Those on a day without state are left out.

    Returns
    -------
    frame
        One row per assignment and day: assignment_id, batch_id, state_date, measured_g,
        sample_variance R [g^(2/3)], days_since_anchor (-1 before the first), is_between (whether
        an anchor follows); per series `<series>_g`, NaN where it says nothing, and for filtered
        and smoothed `<series>_variance` [g^(2/3)].

    """
    constants = Constants.of(seeds)
    days = stay_days(result.unrounded)
    smoothed = smoothed_series(result, seeds)
    of_day = observations(checks.assign(anchor_status="used"), days, constants)
    row, root, variance = inverse_variance_mean(
        ints(of_day, "row"), reals(of_day, "root"), reals(of_day, "variance")
    )
    exact = smoothed.unrounded.iloc[row].reset_index(drop=True)
    since, linear_g = _between_anchors(smoothed, days, row)
    return pd.DataFrame(
        {
            "assignment_id": days.assignment_id[row],
            "batch_id": ints(result.states, "batch_id")[row],
            "state_date": exact["state_date"],
            "measured_g": root**3,
            "sample_variance": variance,
            "days_since_anchor": since,
            "is_between": ~np.isnan(linear_g),
            "forward_g": reals(result.unrounded, "weight_g")[row],
            "filtered_g": reals(exact, "filtered_root") ** 3,
            "filtered_variance": reals(exact, "filtered_variance"),
            "smoothed_g": reals(exact, "smoothed_root") ** 3,
            "smoothed_variance": reals(exact, "smoothed_variance"),
            "linear_g": linear_g,
        }
    )


def score(rows: pd.DataFrame, batch_ids: Sequence[int] | None = None) -> pd.DataFrame:
    """Return errors and coverage of each series, by days since the last anchor.

    One row per class and series: days_since_anchor (a class, `all`, or `all between anchors`:
    those on which every series says something, a straight line needs an anchor on both sides);
    series; samples; mape_percent, the mean of `100 |estimate - measured| / measured`;
    in_band_percent, the share of samples inside the 95 % band of the state, and
    in_prediction_percent, inside that of a sample, `x +- 1.96 sqrt(V + R)`: the sample's own noise
    is no error of the state. NaN where a series has no band.
    """
    if batch_ids is not None:
        rows = rows[rows["batch_id"].isin(batch_ids)]
    since = rows["days_since_anchor"]
    groups = [(name, rows[since.between(low, high)]) for name, low, high in CLASSES]
    groups += [("all", rows), ("all between anchors", rows[rows["is_between"]])]
    lines = [
        {"days_since_anchor": name, "series": series, **_errors(group, series)}
        for name, group in groups
        for series in SERIES
    ]
    scores = pd.DataFrame(lines)
    return scores[scores["samples"] > 0].reset_index(drop=True)


def _errors(rows: pd.DataFrame, series: str) -> dict[str, float]:
    rows = rows[rows[f"{series}_g"].notna()]
    measured_g, estimate_g = reals(rows, "measured_g"), reals(rows, f"{series}_g")
    errors = {
        "samples": len(rows),
        "mape_percent": _mean(100 * np.abs(estimate_g / measured_g - 1)),
        "in_band_percent": float("nan"),
        "in_prediction_percent": float("nan"),
    }
    if f"{series}_variance" in rows:
        gap = np.abs(np.cbrt(measured_g) - np.cbrt(estimate_g))
        variance = reals(rows, f"{series}_variance")
        in_band = gap <= BAND_WIDTH * np.sqrt(variance)
        expected = gap <= BAND_WIDTH * np.sqrt(variance + reals(rows, "sample_variance"))
        errors["in_band_percent"] = _mean(100.0 * in_band)
        errors["in_prediction_percent"] = _mean(100.0 * expected)
    return errors


def _between_anchors(
    smoothed: Smoothed, days: StayDays, row: IntArray
) -> tuple[IntArray, RealArray]:
    """Return the days since the last observation, and the straight line to the next one [g].

    -1 and NaN where there is none. An observation of the day itself counts as the last.
    """
    seen = smoothed.weight_filter[smoothed.weight_filter["observation_index"] > 0]
    ids = days.assignment_id[days.first]
    stay = positions(ints(seen, "assignment_id"), ids)
    observed_day, weight_g = days_of(seen["observed_date"]), reals(seen, "observed_root") ** 3
    at = np.searchsorted(
        day_key(stay, observed_day), day_key(days.stay[row], days.day[row]), side="right"
    )

    def of_same_stay(neighbour: IntArray) -> IntArray:
        there = (neighbour >= 0) & (neighbour < len(stay))
        there &= take(stay, np.where(there, neighbour, -1), -1) == days.stay[row]
        return np.where(there, neighbour, -1)

    before, after = of_same_stay(at - 1), of_same_stay(at)
    day = days.day[row]
    since = np.where(before >= 0, day - take(observed_day, before, 0), -1)
    length = np.where(after >= 0, take(observed_day, after, 0) - day, 0) + since
    left_g, right_g = take(weight_g, before, np.nan), take(weight_g, after, np.nan)
    share = since / np.where(length > 0, length, 1)
    return since, left_g + share * (right_g - left_g)


def _with_truth(rows: pd.DataFrame, truth: pd.DataFrame | None) -> pd.DataFrame:
    """Put the true weights, which have no noise, in the place of the measured ones."""
    if truth is None:
        return rows
    at = positions(_state_key(rows, "state_date"), _true_key(truth))
    known = rows[(at >= 0) & (take(ints(truth, "population"), at, 0) > 0)]
    at = positions(_state_key(known, "state_date"), _true_key(truth))
    return known.assign(measured_g=reals(truth, "weight_g")[at], sample_variance=0.0)


def _true_key(truth: pd.DataFrame) -> IntArray:
    return day_key(ints(truth, "assignment_id"), ints(truth, "state_date"))


def _state_key(frame: pd.DataFrame, date_column: str) -> IntArray:
    return day_key(ints(frame, "assignment_id"), days_of(frame[date_column]))


def _mean(values: np.ndarray) -> float:
    return float(np.mean(values)) if len(values) else float("nan")


def _hidden_first(scores: pd.DataFrame) -> pd.DataFrame:
    return scores[["hidden", *(name for name in scores.columns if name != "hidden")]]
