"""The smoothed series: arithmetic that a person can do, and a filter over every single day."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from small_farm import SmallFarm, day, read_seeds

from anchorline.comparison import Rule, column_difference, days_of
from anchorline.reference import Seeds, Smoothed, smoothed_series
from anchorline.reference.observations import (
    Arrivals,
    Constants,
    Nodes,
    StayDays,
    filter_nodes,
    observation_variance,
    stay_days,
)
from anchorline.reference.smoothing import (
    Filtered,
    Hindsight,
    batch_days,
    bridge,
    kalman_filter,
    rts_smoother,
    suspicions,
    weight_band,
)
from anchorline.verify import Comparison
from anchorline.verify.smoothed import TABLES, compare_smoothed, of_batches

NOBODY = Arrivals(*(np.zeros(0, dtype=np.int64) for _ in range(4)))
"""No fish arrive: every start is a wide one."""

CONSTANTS = Constants(
    process_noise=1.0,
    sample_bias=0.03,
    default_weight_cv=0.2,
    start_weight_cv=0.3,
    suspect_innovation=3.0,
    cusum_slack=0.5,
    cusum_limit=5.0,
)
"""A start of 1000 g (root 10) has the variance (10 * 0.3 / 3)^2 = 1."""


def stay_of(degree_days: list[float], drift: list[float], start_root: float = 10.0) -> StayDays:
    """Return one stay, whose first day is day 1."""
    size = len(degree_days)
    return StayDays(
        assignment_id=np.full(size, 7),
        stay=np.zeros(size, dtype=np.int64),
        day=np.arange(1, size + 1),
        degree_days=np.array(degree_days),
        drift=np.array(drift),
        population=np.full(size, 100),
        first=np.zeros(1, dtype=np.int64),
        start_root=np.array([start_root]),
    )


def observed(*rows: tuple[int, float, float]) -> pd.DataFrame:
    """Return observations: day, root, variance."""
    return pd.DataFrame(
        {
            "row": np.array([number - 1 for number, _, _ in rows], dtype=np.int64),
            "root": np.array([root for _, root, _ in rows], dtype=np.float64),
            "variance": np.array([variance for _, _, variance in rows], dtype=np.float64),
        }
    )


def smoothed(
    days: StayDays, seen: pd.DataFrame, constants: Constants = CONSTANTS
) -> tuple[Nodes, Filtered, Hindsight, np.ndarray, np.ndarray]:
    nodes = filter_nodes(days, seen)
    filtered = kalman_filter(nodes, days, NOBODY, days.start_root, constants)
    hindsight = rts_smoother(nodes, filtered)
    node = nodes.last_until(days.stay, days.day)
    root, variance = bridge(nodes, filtered, hindsight, days, node, constants.process_noise)
    return nodes, filtered, hindsight, root, variance


def test_without_anchor_the_arriving_weight_grows_and_its_band_widens() -> None:
    *_, root, variance = smoothed(stay_of([1, 2, 4], [1, 2, 2.5]), observed())
    assert root.tolist() == [11, 12, 12.5]
    assert variance.tolist() == [2, 3, 5]


def test_one_anchor_moves_the_days_before_and_after() -> None:
    days = stay_of([1, 2, 3], [1, 2, 3])
    # day 2: P- = 1 + 2 = 3 and R = 3, so the middle of 12 and 14; nu = 2 / sqrt(6)
    _, filtered, hindsight, root, variance = smoothed(days, observed((2, 14.0, 3.0)))
    assert filtered.prior_root[1] == 12
    assert filtered.prior_variance[1] == 3
    assert filtered.innovation[1] == pytest.approx(2 / np.sqrt(6), rel=1e-15)
    # the start: G = 1/3, M = 10 + (13 - 12)/3, V = 1 + (1.5 - 3)/9, C = 1.5/3
    assert hindsight.root[0] == pytest.approx(10 + 1 / 3)
    assert hindsight.variance[0] == pytest.approx(5 / 6)
    assert hindsight.covariance[0] == pytest.approx(0.5)
    # day 1, half-way: (10 1/3 + 1 + 13 - 1)/2; V/4 + 1.5/4 + C/2 + 2/4
    assert root == pytest.approx([(23 + 1 / 3) / 2, 13, 14])
    assert variance == pytest.approx([5 / 24 + 0.375 + 0.25 + 0.5, 1.5, 2.5])


def test_the_days_between_two_anchors_are_a_bridge() -> None:
    days = stay_of([1, 2, 3, 4], [1, 2, 3, 4])
    # day 4: m- = 13 + 2 and P- = 1.5 + 2 = 3.5 = R; what was expected is what is seen
    seen = observed((2, 14.0, 3.0), (4, 15.0, 3.5))
    _, _, hindsight, root, variance = smoothed(days, seen)
    assert hindsight.root[1:].tolist() == [13, 15]
    # G = 1.5/3.5 = 3/7: V = 1.5 + 9/49 * (1.75 - 3.5) = 33/28, C = 3/7 * 1.75 = 3/4
    assert hindsight.variance[1:] == pytest.approx([33 / 28, 1.75])
    assert hindsight.covariance[1] == pytest.approx(0.75)
    assert root[2] == pytest.approx(14)
    # a quarter of each end, half of the covariance, q s a (1 - a) = 2/4
    assert variance[2] == pytest.approx((33 / 28 + 1.75) / 4 + 0.375 + 0.5)


def test_growth_within_the_bridge_is_the_models_not_a_straight_line() -> None:
    # all growth on day 4, none of the drift is missed by the anchors
    days = stay_of([1, 2, 3, 4], [0, 0, 0, 2])
    *_, root, _ = smoothed(days, observed((2, 10.0, 1.0), (4, 12.0, 1.0)))
    assert root.tolist() == [10, 10, 10, 12]


def test_where_the_clock_stands_still_the_days_before_are_as_certain_as_the_anchor() -> None:
    *_, root, variance = smoothed(stay_of([0, 0, 0], [0, 0, 0]), observed((3, 11.0, 1.0)))
    assert root.tolist() == [10.5, 10.5, 10.5]
    assert variance.tolist() == [0.5, 0.5, 0.5]


def test_several_anchors_of_a_day_are_one() -> None:
    days = stay_of([0], [0])
    # weights 1 and 3: (10 + 3 * 12)/4 = 11.5 with variance 1/4... of 1 and 1/3
    nodes = filter_nodes(days, observed((1, 10.0, 1.0), (1, 12.0, 1 / 3)))
    assert nodes.count.tolist() == [1]
    assert nodes.root[1] == pytest.approx(11.5)
    assert nodes.variance[1] == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("spread_g", "size", "population", "expected"),
    [
        (np.nan, 10, 20, 0.04 / 10 * 0.5),  # the default CV, half of the fish weighed
        (0.0, 10, 20, 0.04 / 10 * 0.5),
        (100.0, 10, 20, 0.01 / 10 * 0.5),
        (100.0, 1, 10**9, 0.01),
        (100.0, 20, 20, 0.0),  # all fish weighed
        (100.0, 21, 20, 0.0),
        (100.0, 5, 0, 0.0),
    ],
)
def test_the_variance_of_a_sample(
    spread_g: float, size: int, population: int, expected: float
) -> None:
    variance = observation_variance(
        np.array([1000.0]), np.array([spread_g]), np.array([size]), np.array([population]),
        CONSTANTS,
    )  # fmt: skip
    # the root of 1000 g is 10, and y^2 / 9 the square of its derivative's share
    assert variance[0] == pytest.approx(100 / 9 * (expected + 0.0009), rel=1e-8)


def test_a_surprise_is_suspect_and_a_lean_drifts() -> None:
    def judged(*innovations: float) -> tuple[list[bool], list[bool]]:
        # P- = 1 and no drift; R so small that the state follows each sample: nu is the step
        constants = replace(CONSTANTS, process_noise=1.0)
        size = len(innovations)
        days = stay_of([float(i) for i in range(size)], [0.0] * size)
        roots = 10 + np.cumsum(innovations)
        seen = observed(*((i + 1, float(y), 1e-9) for i, y in enumerate(roots)))
        nodes = filter_nodes(days, seen)
        filtered = kalman_filter(nodes, days, NOBODY, days.start_root, constants)
        suspect, drifting = suspicions(filtered, constants)
        assert filtered.innovation[1:] == pytest.approx(innovations, abs=1e-6)
        return suspect[1:].tolist(), drifting[1:].tolist()

    assert judged(2.99, -3.01) == ([False, True], [False, False])
    # 2 - 0.5 = 1.5 a time: 6 after four; a sample to the other side takes 1 + 0.5 away
    assert judged(2, 2, 2, 2, -1)[1] == [False, False, False, True, False]
    assert judged(-2, -2, -2, -2)[1] == [False, False, False, True]
    assert judged(2, -2, 2, -2, 2)[1] == [False] * 5


def test_the_band_ends_at_no_weight() -> None:
    low, high = weight_band(np.array([10.0, 1.0]), np.array([1.0, 1.0]))
    assert low == pytest.approx([8.04**3, 0])
    assert high == pytest.approx([11.96**3, 2.96**3])


def test_batches_combine_weights_and_bands_by_number() -> None:
    daily = pd.DataFrame(
        {
            "batch_id": [1, 1, 2],
            "batch_number": ["A", "A", "B"],
            "state_date": pd.to_datetime(["2024-01-01"] * 3),
            "population": [100, 300, 0],
            "smoothed_weight_g": [100.0, 200.0, 50.0],
            "smoothed_weight_low_g": [80.0, 160.0, 40.0],
            "smoothed_weight_high_g": [120.0, 240.0, 60.0],
            "smoothed_biomass_kg": [10.0, 60.0, 0.0],
            "is_observed": [True, False, False],
        }
    )
    combined = batch_days(daily).set_index("batch_number")
    assert combined.loc["A", "smoothed_weight_g"] == 175
    assert combined.loc["A", "smoothed_weight_low_g"] == 140
    assert combined.loc["A", "smoothed_weight_high_g"] == 210
    assert combined.loc["A", "smoothed_biomass_kg"] == 70
    assert np.isnan(combined.loc["B", "smoothed_weight_g"])
    assert combined.loc["B", "smoothed_biomass_kg"] == 0
    assert combined["container_count"].to_dict() == {"A": 2, "B": 0}
    assert combined["observed_container_count"].to_dict() == {"A": 1, "B": 0}


def test_the_clock_counts_warmth_and_the_drift_what_the_model_adds() -> None:
    rows = pd.DataFrame(
        {
            "assignment_id": [1, 1, 1, 1, 2],
            "state_date": pd.to_datetime(["2024-01-0" + day for day in "12341"]),
            "population": 10,
            "temp_c": [5.0, -1.0, np.nan, 2.0, 3.0],
            "mixed_weight_g": [1000.0, 1331.0, 3375.0, 4096.0, 8.0],
            # roots: 10 to 11; weighed as 14 on day 2, mixed to 15 on day 3, 16 after growth
            "modelled_weight_g": [1331.0, 1728.0, 4096.0, 4096.0, 27.0],
            "weight_g": [1331.0, 2744.0, 4096.0, 4096.0, 27.0],
        }
    )
    days = stay_days(rows)
    assert days.degree_days.tolist() == [5, 5, 5, 7, 3]
    assert days.drift == pytest.approx([1, 2, 4, 4, 1])
    assert days.start_root == pytest.approx([10, 2])


# -- against a filter over every day --------------------------------------------------------------


def dense_series(
    days: StayDays, seen: pd.DataFrame, start_variance: float, process_noise: float
) -> tuple[np.ndarray, np.ndarray]:
    """Filter and smooth one stay day by day, in the textbook's form (Rauch, Tung & Striebel)."""
    steps = len(days.day)
    warmth = np.diff(days.degree_days, prepend=0.0)
    added = np.diff(days.drift, prepend=0.0)
    m, p = np.zeros(steps + 1), np.zeros(steps + 1)
    m_prior, p_prior = np.zeros(steps + 1), np.zeros(steps + 1)
    m[0], p[0] = days.start_root[0], start_variance
    for d in range(1, steps + 1):
        m[d] = m_prior[d] = m[d - 1] + added[d - 1]
        p[d] = p_prior[d] = p[d - 1] + process_noise * warmth[d - 1]
        for _, y, r in seen[seen["row"] == d - 1].itertuples(index=False, name=None):
            gain = p[d] / (p[d] + r)  # one after the other: no mean is taken
            m[d] += gain * (y - m[d])
            p[d] *= 1 - gain
    for d in range(steps - 1, -1, -1):
        gain = p[d] / p_prior[d + 1]
        m[d] += gain * (m[d + 1] - m_prior[d + 1])
        p[d] += gain**2 * (p[d + 1] - p_prior[d + 1])
    return m[1:], p[1:]


@pytest.mark.parametrize("seed", range(20))
def test_anchors_and_bridges_give_what_a_filter_over_every_day_gives(seed: int) -> None:
    random = np.random.default_rng(seed)
    size = int(random.integers(1, 200))
    warmth = np.where(random.random(size) < 0.3, 0.0, random.uniform(0, 16, size))
    if seed % 5 == 0:
        warmth[size // 3 : 2 * size // 3] = 0.0
    days = stay_of(
        np.cumsum(warmth).tolist(), np.cumsum(random.normal(0.03, 0.05, size)).tolist(), 5.0
    )
    count = int(random.integers(0, 15))
    on = np.sort(random.integers(1, size + 1, count))
    seen = observed(
        *((int(d), float(random.normal(8, 2)), float(random.uniform(1e-4, 0.2))) for d in on)
    )
    constants = replace(CONSTANTS, process_noise=4e-5)
    *_, root, variance = smoothed(days, seen, constants)
    dense_root, dense_variance = dense_series(
        days, seen, (5.0 * constants.start_weight_cv / 3) ** 2, constants.process_noise
    )
    np.testing.assert_allclose(root, dense_root, rtol=1e-9)
    np.testing.assert_allclose(variance, dense_variance, rtol=1e-9)


# -- whole farms ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def seeds() -> Seeds:
    """Return the seeds, with constants that leave a start of 1000 g with the variance 1."""
    values = pd.DataFrame(
        {
            "constant": list(Constants.__dataclass_fields__),
            "value": [getattr(CONSTANTS, name) for name in Constants.__dataclass_fields__],
        }
    )
    return replace(read_seeds(), smoothing_constants=values)


def start_variance(series: Smoothed, stay: int) -> float:
    rows = series.weight_filter
    return float(
        rows.loc[
            (rows["assignment_id"] == stay) & (rows["observation_index"] == 0), "filtered_variance"
        ].item()
    )


def sample_variance(weight_g: float) -> float:
    """Return R of a sample of all fish."""
    return float(np.cbrt(weight_g) ** 2 / 9 * 0.0009)


def two_sources(**transfer: float) -> SmallFarm:
    """Two sources of 30 and 10 fish of 1000 g; both move to a third on day 4."""
    farm = SmallFarm()
    for number, count in ((1, 30), (2, 10)):
        farm.stay(number, 1, 4, avg_weight_g=1000.0)
        farm.transfer(number, number, 3, 4, count, source_population_before=count, **transfer)
    farm.stay(3, 4, None)
    return farm


def test_the_start_knows_what_the_filters_of_the_sources_knew(seeds: Seeds) -> None:
    farm = two_sources()
    farm.sample(1, 1, 2, 1000.0, size=30)
    series = smoothed_series(farm.compute(seeds), seeds)
    weighed = sample_variance(1000) / (1 + sample_variance(1000))
    # 30 fish that were weighed, 10 that were not
    assert start_variance(series, 3) == pytest.approx((30 * weighed + 10 * 1.0) / 40, rel=1e-12)


def test_the_start_knows_how_warm_it_was_since_the_sources_were_weighed(seeds: Seeds) -> None:
    farm = two_sources()
    farm.rows["temperature_profile_days"][0]["temp_c"] = 5.0
    farm.sample(1, 1, 2, 1000.0, size=30)
    farm.sample(2, 2, 1, 1000.0, size=10)
    series = smoothed_series(farm.compute(seeds), seeds)
    ours = series.weight_filter.set_index(["assignment_id", "observation_index"])
    known = ours["filtered_variance"]
    # q = 1: 5 degree-days of day 3; 10 of days 2 and 3
    expected = (30 * (known[1, 1] + 5) + 10 * (known[2, 1] + 10)) / 40
    assert start_variance(series, 3) == pytest.approx(expected, rel=1e-12)


def test_a_sample_after_the_fish_have_left_says_nothing_of_them(seeds: Seeds) -> None:
    def start(sampled_on: int | None) -> float:
        farm = SmallFarm()
        farm.stay(1, 1, None, avg_weight_g=1000.0)
        farm.stay(2, 4, None)
        farm.transfer(1, 1, 2, 4, 30, source_population_before=60)
        if sampled_on is not None:
            farm.sample(1, 1, sampled_on, 1000.0, size=60)
        return start_variance(smoothed_series(farm.compute(seeds), seeds), 2)

    assert start(5) == start(None) == 1.0
    assert start(3) < 0.01


def test_fish_that_leave_others_behind_take_what_was_known_the_day_before(seeds: Seeds) -> None:
    farm = SmallFarm()
    farm.rows["temperature_profile_days"][0]["temp_c"] = 5.0
    farm.stay(1, 1, None, avg_weight_g=1000.0)
    farm.stay(2, 4, None)
    farm.transfer(1, 1, 2, 4, 30, source_population_before=60)
    series = smoothed_series(farm.compute(seeds), seeds)
    # q = 1: the start's 1 and the 15 degree-days of days 1 to 3, while the source goes on
    assert start_variance(series, 2) == pytest.approx(16)


def test_a_weight_that_a_movement_brings_starts_wide(seeds: Seeds) -> None:
    farm = two_sources(measured_avg_weight_g=1000.0)
    farm.sample(1, 1, 2, 1000.0, size=30)
    assert start_variance(smoothed_series(farm.compute(seeds), seeds), 3) == 1.0


def test_generations_follow_each_other_whatever_their_ids(seeds: Seeds) -> None:
    farm = SmallFarm()
    farm.stay(3, 1, 2, avg_weight_g=1000.0)
    farm.stay(1, 2, 3)
    farm.stay(2, 3, None)
    farm.transfer(1, 3, 1, 2, 30, source_population_before=30)
    farm.transfer(2, 1, 2, 3, 30, source_population_before=30)
    farm.sample(1, 3, 1, 1000.0, size=30)
    series = smoothed_series(farm.compute(seeds), seeds)
    weighed = sample_variance(1000) / (1 + sample_variance(1000))
    assert start_variance(series, 2) == pytest.approx(weighed, rel=1e-12)


def test_what_is_published_of_a_day(seeds: Seeds) -> None:
    farm = SmallFarm()
    farm.stay(1, 1, None, 20, avg_weight_g=1000.0)
    farm.sample(1, 1, 2, 1331.0, size=20)
    farm.sample(2, 1, 4, 1331.0, size=20)
    series = smoothed_series(farm.compute(seeds, until=5), seeds)
    days = series.days
    assert days["is_observed"].tolist() == [False, True, False, True, False]
    since = days["days_since_last_observation"]
    assert since.isna().tolist() == [True, False, False, False, False]
    assert since[1:].tolist() == [0, 1, 0, 1]
    until = days["days_to_next_observation"]
    assert until[:3].tolist() == [1, 2, 1]
    assert until.isna().tolist() == [False, False, False, True, True]
    # 0 °C: one weight, weighed twice, the start's variance 1 against R/2
    half = sample_variance(1331) / 2
    root = (10 * half + 11) / (1 + half)
    assert days["smoothed_weight_g"].tolist() == [round(root**3, 4)] * 5
    assert days["smoothed_biomass_kg"].tolist() == [round(20 * root**3 / 1000, 2)] * 5
    assert (days["smoothed_weight_low_g"] < days["smoothed_weight_g"]).all()


def test_an_anchor_that_observes_no_state_is_not_judged(seeds: Seeds) -> None:
    farm = SmallFarm()
    farm.stay(1, 1, 4, 20, avg_weight_g=1000.0)
    farm.sample(1, 1, 2, 1331.0, size=20)
    farm.sample(2, 1, 3, 1331.0, size=20)
    farm.sample(3, 1, 4, 1331.0, size=20)  # the departure day has no state
    farm.add("anchor_exclusions", {"anchor_type": "growth_sample", "record_id": 2})
    farm.add(
        "manual_anchors",
        {"manual_anchor_id": 1, "assignment_id": 1, "anchor_date": day(2), "weight_g": 900.0},
    )
    series = smoothed_series(farm.compute(seeds), seeds)
    anchors = series.anchors.set_index(["anchor_type", "record_id"])
    status = anchors["anchor_status"]
    assert status["growth_sample"].tolist() == ["used", "excluded", "used"]
    assert status["manual", 1] == "superseded"
    innovation = round(1 / np.sqrt(1 + sample_variance(1331)), 3)
    judged = anchors["innovation"]
    assert judged["growth_sample"].tolist() == pytest.approx(
        [innovation, np.nan, np.nan], abs=0.005, nan_ok=True
    )
    assert np.isnan(judged["manual", 1])
    assert anchors.loc["growth_sample", "is_suspect"].tolist() == [False, None, None]


def test_a_sample_touches_its_own_assignment_and_where_its_fish_go(seeds: Seeds) -> None:
    def days(sampled: bool) -> pd.DataFrame:
        farm = two_sources()
        farm.sample(2, 2, 2, 1100.0, size=10)
        farm.sample(3, 3, 5, 1300.0, size=40)
        if sampled:
            farm.sample(1, 1, 3, 1200.0, size=30)
        return smoothed_series(farm.compute(seeds), seeds).days.set_index("assignment_id")

    without, with_sample = days(False), days(True)
    changed = without["smoothed_weight_g"] != with_sample["smoothed_weight_g"]
    assert changed.groupby(level=0).any().to_dict() == {1: True, 2: False, 3: True}


def test_a_farm_without_fish_has_no_series(seeds: Seeds) -> None:
    series = smoothed_series(SmallFarm().compute(seeds), seeds)
    for table in TABLES:
        assert table.ours(series).empty
    assert all(table.agrees for table in compare_smoothed(series, as_database(series), 10))


# -- the comparison with a database ---------------------------------------------------------------


def as_database(series: Smoothed) -> dict[str, pd.DataFrame]:
    """Return what the tables would hold, as it is read."""
    tables = {}
    for table in TABLES:
        frame = table.ours(series).copy()
        for column in table.columns.split():
            kind, name = column[0], column[1:]
            if kind == "@":
                frame[name] = days_of(frame[name])
            elif kind == "#":
                frame[name] = (
                    frame[name].astype("Int64").fillna(np.iinfo(np.int64).min).astype("int64")
                )
            elif kind in "?$":
                frame[name] = frame[name].astype(object)
        tables[table.name] = frame
    return tables


@pytest.fixture
def series(seeds: Seeds) -> Smoothed:
    farm = two_sources()
    farm.rows["temperature_profile_days"][0]["temp_c"] = 5.0
    farm.sample(1, 1, 2, 1100.0, size=10)
    farm.sample(2, 3, 5, 1300.0, size=10)
    return smoothed_series(farm.compute(seeds), seeds)


def test_verify_finds_what_differs_in_the_smoothed_series(series: Smoothed) -> None:
    tables = as_database(series)
    assert all(table.agrees for table in compare_smoothed(series, tables, 10))
    assert [len(table) for table in tables.values()] == [9, 6, 2, 5]

    def off(table: str, column: str, row: int, by: float) -> dict[str, int]:
        spoilt = tables | {table: tables[table].copy()}
        spoilt[table][column] = spoilt[table][column].astype(float)
        spoilt[table].loc[row, column] += by
        found = compare_smoothed(series, spoilt, 10)
        return {
            f"{t.name}.{c.name}": len(t.first_rows) for t in found for c in t.columns if c.differing
        }

    daily, batch = "daily_assignment_smoothed", "daily_batch_smoothed"
    assert off(daily, "smoothed_weight_g", 4, 0.0001) == {}
    assert off(daily, "smoothed_weight_g", 4, 0.0002) == {f"{daily}.smoothed_weight_g": 1}
    assert off(daily, "population", 0, 1) == {f"{daily}.population": 1}
    assert off(batch, "smoothed_weight_low_g", 2, 0.01) == {f"{batch}.smoothed_weight_low_g": 1}
    assert off("weight_anchors", "innovation", 0, 0.02) == {"weight_anchors.innovation": 1}
    assert off("int_weight_filter", "smoothed_root", 1, 1e-7) == {
        "int_weight_filter.smoothed_root": 1
    }
    assert off("int_weight_filter", "filtered_variance", 1, np.nan) == {
        "int_weight_filter.filtered_variance": 1
    }


def test_verify_finds_flags_and_rows_that_differ(series: Smoothed) -> None:
    tables = as_database(series)
    flagged = tables["weight_anchors"].assign(is_drifting=[True, False])
    fewer = tables["daily_assignment_smoothed"].iloc[1:]
    spoilt = tables | {"weight_anchors": flagged, "daily_assignment_smoothed": fewer}
    found = {table.name: table for table in compare_smoothed(series, spoilt, 10)}
    assert found["daily_assignment_smoothed"].only_in_reference == 1
    assert not found["daily_assignment_smoothed"].agrees
    (row,) = found["weight_anchors"].first_rows.to_dict("records")
    assert row["column"] == "is_drifting"
    assert row["anchor_date"] == str(day(2))
    assert (row["database"], row["reference"]) == (True, False)


def test_a_table_that_is_missing_is_no_agreement(series: Smoothed) -> None:
    nothing = pd.DataFrame()
    whole = Comparison(0, [], 0, 0, nothing, nothing, nothing)
    assert whole.agrees
    assert not replace(whole, missing=["anchorline_marts.daily_batch_smoothed"]).agrees
    off = as_database(series)["daily_batch_smoothed"].iloc[:-1]
    found = compare_smoothed(series, {"daily_batch_smoothed": off}, 10)
    assert not replace(whole, tables=found).agrees


def test_only_what_belongs_to_a_batch_is_kept(series: Smoothed) -> None:
    kept = of_batches(series, pd.Series([1]), [1])
    assert set(kept.days["assignment_id"]) == {1}
    assert set(kept.weight_filter["assignment_id"]) == {1}
    assert len(of_batches(series, pd.Series([1]), [2]).batch_days) == 0


def test_unrounded_values_are_compared_by_their_size() -> None:
    ours, theirs = pd.Series([1e-6, np.nan, 1.0]), pd.Series([1e-6 * (1 + 2e-9), np.nan, np.nan])
    small, bad = column_difference(Rule("x", scale=1e-300), ours, theirs)
    assert bad.tolist() == [True, False, True]
    assert small.differing == 2
    _, bad = column_difference(Rule("x", scale=1.0), ours, theirs)
    assert bad.tolist() == [False, False, True]


def test_each_published_term_of_a_sum_may_be_rounded_the_other_way() -> None:
    """Two containers of 4.875 kg each are 9.76 kg or 9.74 kg, as the last bit of each goes."""
    ours, theirs = pd.Series([9.74, 9.74, 9.73, 0.01]), pd.Series([9.76, 9.76, 9.76, 0.0])
    rule = Rule("x", decimals=2, terms="container_count")
    _, bad = column_difference(rule, ours, theirs, pd.Series([2, 1, 2, 0]))
    assert bad.tolist() == [False, True, True, False]
    assert rule.text == "one in decimal 2 for each of container_count"
