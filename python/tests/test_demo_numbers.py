"""The numbers behind the demo farm, one by one."""

from __future__ import annotations

import numpy as np
import pytest

from anchorline.demo.biology import (
    autocorrelated_noise,
    grown_weight_g,
    length_cm,
    seasonal_temp_c,
)
from anchorline.demo.features import FEATURES, assign_features, batch_ages, lineage_pair
from anchorline.demo.registry import Records
from anchorline.demo.sites import SITES, ContainerPool
from anchorline.demo.truth import selected_weight_ratio
from anchorline.demo.weights import observed_weight_g


def test_growth_is_linear_in_the_cube_root() -> None:
    grown = grown_weight_g(np.array([8.0, 8.0, 1000.0]), np.array([2.5] * 3), np.array([10, -1, 0]))
    assert grown.tolist() == pytest.approx([2.025**3, 8.0, 1000.0])


def test_water_is_warmest_in_late_august() -> None:
    temp_c = seasonal_temp_c(9.0, 2.0, np.arange(1.0, 366.0))
    assert int(np.argmax(temp_c)) + 1 == 237
    assert temp_c.max() == pytest.approx(11.0)
    assert temp_c.mean() == pytest.approx(9.0, abs=0.01)


def test_noise_keeps_its_spread_and_remembers_yesterday() -> None:
    noise = autocorrelated_noise(np.random.default_rng(1), 400, 200, correlation=0.9, sd=0.5)
    assert noise[:, 0].std() == pytest.approx(0.5, rel=0.1)
    assert noise[:, -1].std() == pytest.approx(0.5, rel=0.1)
    assert np.corrcoef(noise[:, 100], noise[:, 101])[0, 1] == pytest.approx(0.9, abs=0.05)


def test_length_follows_the_condition_factor() -> None:
    assert length_cm(np.array([1200.0]), np.array([1.2]))[0] == pytest.approx(46.4159, abs=1e-3)


@pytest.mark.parametrize(
    ("method", "share", "ratio"),
    [
        ("AVERAGE", 0.5, 1.0),
        ("LARGEST", 0.5, 1.1596),  # 1 + 0.2 * 0.3989 / 0.5
        ("SMALLEST", 0.5, 0.8404),
        ("LARGEST", 1.0, 1.0),
        ("LARGEST", 0.0, 1.0),
    ],
)
def test_selected_fish_differ_from_the_others(method: str, share: float, ratio: float) -> None:
    assert selected_weight_ratio(method, share) == pytest.approx(ratio, abs=1e-4)


def test_means_of_many_fish_are_closer_to_the_truth() -> None:
    rng = np.random.default_rng(1)
    few = [observed_weight_g(rng, 1000.0, 5) for _ in range(2000)]
    many = [observed_weight_g(rng, 1000.0, 500) for _ in range(2000)]
    assert np.mean(few) == pytest.approx(1000.0, rel=0.01)
    assert np.std(few) == pytest.approx(1000.0 * (0.2**2 / 5 + 0.03**2) ** 0.5, rel=0.1)
    assert np.std(many) == pytest.approx(1000.0 * (0.2**2 / 500 + 0.03**2) ** 0.5, rel=0.1)


@pytest.mark.parametrize("batches", [1, 2, 3, 4, 5, 6, 8, 20, 145])
def test_batches_start_one_after_another(batches: int) -> None:
    ages = batch_ages(batches)
    assert len(ages) == batches
    assert ages == sorted(ages, reverse=True)
    assert ages[-1] < 900  # somebody is alive
    pair = lineage_pair(ages)
    assert (pair is None) == (batches == 1)
    if pair is not None:
        assert 0 < ages[pair[0]] - ages[pair[1]] <= 21
        assert 570 < ages[pair[1]] < 900  # both at sea, and alive


@pytest.mark.parametrize("batches", [4, 8, 145])
def test_every_feature_finds_a_batch_that_is_old_enough(batches: int) -> None:
    ages = batch_ages(batches)
    assigned = assign_features(ages)
    for feature in FEATURES:
        owners = [index for index, names in enumerate(assigned) if feature.name in names]
        assert len(owners) == 1, feature.name
        assert ages[owners[0]] >= feature.min_age_days
        if feature.name == "no_scenario":
            assert not assigned[owners[0]] & feature.excludes


def test_no_batches_have_no_features() -> None:
    assert batch_ages(0) == []
    assert assign_features([]) == []


def test_pool_builds_only_what_is_taken() -> None:
    pool = ContainerPool(Records(), np.random.default_rng(1))
    first = pool.take(SITES[0], 1, 0, 90)
    assert pool.take(SITES[0], 1, 50, 140) is not first
    assert pool.take(SITES[0], 1, 92, 180) is not first  # it is being cleaned
    assert pool.take(SITES[0], 1, 94, 180) is first
    assert pool.take(SITES[1], 1, 200, 300) is not first
