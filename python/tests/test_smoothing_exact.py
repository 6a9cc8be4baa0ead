"""The filter over observations alone gives what a filter and smoother over every day gives.

The models take one step from observation to observation and bridge the days between. Here the same
small farms go through a Kalman filter and a Rauch-Tung-Striebel smoother with a step for each day,
and each measurement by itself: the two agree to 1e-9.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import numpy as np
import psycopg
import pytest
from psycopg import sql

from anchorline import settings
from devtools.compiled_models import taken_back
from devtools.farm_comparison import FarmBench

FIRST = date(2024, 2, 20)
TABLES = (
    "int_growth_starts",
    "int_growth_states",
    "int_growth_inputs",
    "int_movements",
    "int_anchor_measurements",
    "int_assignments",
)
FILLED = ("int_smoothing_days", "int_weight_filter", "int_smoothed_ends")


@dataclass
class Stay:
    """An assignment: its days, what the model adds on each, and what was measured."""

    number: int
    first: int
    changes: list[float]
    temps: list[float | None]
    populations: list[int]
    start_root: float
    measurements: list[tuple[int, float, int | None, float | None]] = field(default_factory=list)
    """Day from the first (0), weight [g], sample size, standard deviation [g]."""
    shares: list[tuple[int | None, int, int]] = field(default_factory=list)
    """Source (None: outside, or weighed on the way), day on which its fish left, their number."""

    def day(self, number: int) -> date:
        return FIRST + timedelta(days=self.first + number)


@dataclass
class Dense:
    """What the daily filter and smoother say of a stay; index 0 is before its first day."""

    prior: np.ndarray
    prior_variance: np.ndarray
    filtered: np.ndarray
    variance: np.ndarray
    smoothed: np.ndarray
    smoothed_variance: np.ndarray


def constants() -> dict[str, float]:
    path = settings.project_folder() / "seeds" / "smoothing_constants.csv"
    with path.open(encoding="utf-8") as file:
        return {row["constant"]: float(row["value"]) for row in csv.DictReader(file)}


def random_stay(
    rng: np.random.Generator, number: int, first: int, days: int, observed: list[int]
) -> Stay:
    temps = [float(value) for value in rng.uniform(-2.0, 14.0, days)]
    # a stretch in which the clock stands still, longer than from one observation to the next
    for day in range(days // 2, min(days // 2 + 6, days)):
        temps[day] = -0.5
    stay = Stay(
        number=number,
        first=first,
        # growth is not in step with the clock, and mixing makes jumps
        changes=[float(v) for v in rng.normal(0.03, 0.03, days)],
        temps=[None if rng.random() < 0.1 else temp for temp in temps],
        populations=[int(value) for value in rng.integers(20, 400, days)],
        start_root=float(rng.uniform(4.0, 8.0)),
    )
    root = stay.start_root
    for day in range(days):
        root += stay.changes[day]
        for _ in range(observed.count(day)):
            weight_g = float((root * rng.normal(1.0, 0.05)) ** 3)
            size = None if rng.random() < 0.2 else int(rng.integers(0, 60))
            spread = None if rng.random() < 0.5 else weight_g * float(rng.uniform(0.1, 0.3))
            stay.measurements.append((day, weight_g, size, spread))
    return stay


def random_farm(seed: int) -> list[Stay]:
    """Stays of four generations: splits, mixtures, fish in transit, a stay without observation."""
    rng = np.random.default_rng(seed)
    stays = [
        random_stay(rng, 1, 0, 60, [0, 9, 9, 22, 30, 33, 41, 42, 59]),
        random_stay(rng, 2, 5, 50, [20, 44]),
        random_stay(rng, 3, 33, 40, [1, 10, 10, 10, 22, 23, 39]),
        random_stay(rng, 4, 45, 30, []),
        random_stay(rng, 5, 62, 25, [3]),
        random_stay(rng, 6, 62, 20, [19]),
    ]
    outside = None
    stays[0].shares = [(outside, 0, 900)]
    stays[1].shares = []
    # left on the day of an observation, which is of the fish that stayed
    stays[2].shares = [(1, 33, 300), (2, 33, 100), (outside, 33, 200)]
    stays[3].shares = [(1, 45, 500)]
    # two days in transit, in which the others were observed
    stays[4].shares = [(1, 60, 70), (3, 55, 30), (4, 62, 100)]
    stays[5].shares = [(3, 62, 30), (2, 55, 40)]
    return stays


def variance_of(measurement: tuple[int, float, int | None, float | None], population: int) -> float:
    """Return the variance of a measurement's cube root (growth model, section 10)."""
    known = constants()
    _, weight_g, size, spread = measurement
    cv = spread / weight_g if spread else known["default_weight_cv"]
    count = max(size or 1, 1)
    sampling = cv**2 / count * (1 - count / population) if count < population else 0.0
    return float(np.cbrt(weight_g) ** 2 / 9 * (sampling + known["sample_bias"] ** 2))


def dense(stay: Stay, others: Mapping[int, tuple[Stay, Dense]]) -> Dense:
    """Filter and smooth with a step for each day."""
    known = constants()
    days = len(stay.changes)
    by_default = (stay.start_root * known["start_weight_cv"] / 3) ** 2
    start_variance = by_default
    if stay.shares:
        total = sum(count for _, _, count in stay.shares)
        start_variance = 0.0
        for source, left, count in stay.shares:
            of_source = by_default
            if source is not None:
                other, of_other = others[source]
                of_source = of_other.variance[left - other.first]
            start_variance += count / total * of_source

    prior, prior_variance = np.zeros(days + 1), np.zeros(days + 1)
    filtered, variance = np.zeros(days + 1), np.zeros(days + 1)
    prior[0] = filtered[0] = stay.start_root
    prior_variance[0] = variance[0] = start_variance
    for day in range(days):
        root = filtered[day] + stay.changes[day]
        noise = known["process_noise"] * max(stay.temps[day] or 0.0, 0.0)
        spread = variance[day] + noise
        prior[day + 1], prior_variance[day + 1] = root, spread
        for measurement in stay.measurements:
            if measurement[0] == day:
                gain = spread / (spread + variance_of(measurement, stay.populations[day]))
                root += gain * (np.cbrt(measurement[1]) - root)
                spread *= 1 - gain
        filtered[day + 1], variance[day + 1] = root, spread

    smoothed, smoothed_variance = filtered.copy(), variance.copy()
    for day in range(days - 1, -1, -1):
        gain = variance[day] / prior_variance[day + 1]
        smoothed[day] += gain * (smoothed[day + 1] - prior[day + 1])
        smoothed_variance[day] += gain**2 * (smoothed_variance[day + 1] - prior_variance[day + 1])
    return Dense(prior, prior_variance, filtered, variance, smoothed, smoothed_variance)


def rows_of(stays: list[Stay]) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of a farm as the models before the smoothing leave them."""
    rows: dict[str, list[dict[str, Any]]] = {table: [] for table in TABLES}
    for stay in stays:
        key = {"assignment_id": stay.number}
        rows["int_assignments"].append({**key, "batch_id": 1, "container_id": stay.number})
        rows["int_growth_starts"].append({**key, "state_date": stay.day(-1)})
        anchored = {day: weight_g for day, weight_g, _, _ in stay.measurements}
        root = stay.start_root
        for day, change in enumerate(stay.changes):
            mixed_weight_g = root**3
            root += change
            modelled_weight_g = root**3
            weight_g = anchored.get(day, modelled_weight_g)
            root = float(np.cbrt(weight_g))
            rows["int_growth_states"].append(
                {
                    **key,
                    "state_date": stay.day(day),
                    "population": stay.populations[day],
                    "mixed_weight_g": mixed_weight_g,
                    "modelled_weight_g": modelled_weight_g,
                    "weight_g": weight_g,
                    "is_in_transit": False,
                }
            )
            rows["int_growth_inputs"].append(
                {**key, "state_date": stay.day(day), "temp_c": stay.temps[day]}
            )
        for number, (day, weight_g, size, spread) in enumerate(stay.measurements):
            rows["int_anchor_measurements"].append(
                {
                    **key,
                    "anchor_type": "growth_sample",
                    "record_id": stay.number * 100 + number,
                    "anchor_date": stay.day(day),
                    "weight_g": weight_g,
                    "sample_size": size,
                    "std_deviation_weight_g": spread,
                    "anchor_status": "used",
                }
            )
        for number, (source, left, count) in enumerate(stay.shares):
            rows["int_movements"].append(
                {
                    "movement_key": f"{stay.number}:{number}",
                    # every second one from outside is another's, with a weight of its own
                    "from_assignment_id": source or (1 if stay.number % 2 else None),
                    "to_assignment_id": stay.number,
                    "departed_date": FIRST + timedelta(days=left),
                    "arrived_date": stay.day(0),
                    "fish_count": count,
                    "weight_g": None if source else stay.start_root**3,
                }
            )
    return rows


@pytest.mark.parametrize("seed", range(5))
def test_a_step_for_each_day_says_the_same(
    farm_bench: Callable[[str], FarmBench], seed: int
) -> None:
    bench = farm_bench("defaults")
    stays = random_farm(seed)
    expected: dict[int, tuple[Stay, Dense]] = {}
    for stay in stays:
        expected[stay.number] = (stay, dense(stay, expected))

    models = {model.name: model for model in bench.project.models}
    with taken_back(bench.connection):
        for table, rows in rows_of(stays).items():
            insert(bench.connection, models[table].relation, rows)
        for name in FILLED:
            bench.connection.execute(bench.filling[name])
        smoothed = {
            (row[0], row[1]): row[2:]
            for row in bench.connection.execute(
                sql.SQL(
                    "select assignment_id, state_date, smoothed_weight_g, smoothed_weight_low_g, "
                    "smoothed_weight_high_g from ({}) as model"
                ).format(sql.SQL(unrounded(models["daily_assignment_smoothed"].query)))
            ).fetchall()
        }
        filtered = bench.connection.execute(
            sql.SQL(
                "select assignment_id, observed_date, prior_root, prior_variance, filtered_root, "
                "filtered_variance, smoothed_root, smoothed_variance from {}"
            ).format(models["int_weight_filter"].relation)
        ).fetchall()
        ends = bench.connection.execute(
            sql.SQL("select assignment_id, state_date, root, root_variance from {}").format(
                models["int_smoothed_ends"].relation
            )
        ).fetchall()

    assert len(smoothed) == sum(len(stay.changes) for stay in stays)
    for stay, truth in expected.values():
        for day in range(len(stay.changes)):
            root, deviation = truth.smoothed[day + 1], truth.smoothed_variance[day + 1] ** 0.5
            band = [root, root - 1.96 * deviation, root + 1.96 * deviation]
            assert smoothed[stay.number, stay.day(day)] == pytest.approx(
                [bound**3 for bound in band], rel=1e-9
            ), f"stay {stay.number}, day {day}"

    assert len(filtered) == sum(1 + len({m[0] for m in stay.measurements}) for stay in stays)
    for number, observed_date, *found in filtered:
        stay, truth = expected[number]
        index = (observed_date - stay.day(-1)).days
        assert found == pytest.approx(
            [
                getattr(truth, name)[index]
                for name in ("prior", "prior_variance", "filtered", "variance")
            ]
            + [truth.smoothed[index], truth.smoothed_variance[index]],
            rel=1e-9,
        ), f"stay {number}, {observed_date}"

    assert len(ends) == len(stays)
    for number, state_date, root, variance in ends:
        stay, truth = expected[number]
        assert state_date == stay.day(len(stay.changes) - 1)
        assert (root, variance) == pytest.approx((truth.filtered[-1], truth.variance[-1]), rel=1e-9)


def unrounded(query: str) -> str:
    """Return the mart's query without the rounding of its weights."""
    changed = query.replace("::numeric(12, 4)", "")
    assert changed.count("numeric(12, 4)") == 0
    assert query.count("::numeric(12, 4)") == 3
    return changed


def insert(
    connection: psycopg.Connection, relation: sql.Identifier, rows: list[dict[str, Any]]
) -> None:
    for row in rows:
        connection.execute(
            sql.SQL("insert into {} ({}) values ({})").format(
                relation,
                sql.SQL(", ").join(map(sql.Identifier, row)),
                sql.SQL(", ").join([sql.Placeholder()] * len(row)),
            ),
            list(row.values()),
        )
