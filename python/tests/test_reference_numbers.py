"""The reference's equations: published figures, and arithmetic that a person can do."""

import numpy as np
import pandas as pd
import pytest

from anchorline.reference.anchors import weight_of_staying
from anchorline.reference.feed import feed_conversion, gain_kg
from anchorline.reference.growth import cube_root_growth, expected_deaths, power_law_growth
from anchorline.reference.inputs import Parameters, day_of
from anchorline.reference.scenarios import daily_share
from anchorline.reference.states import round_half_up
from anchorline.reference.tables import UNKNOWN, whole_shares
from anchorline.reference.temperatures import profile_temperatures

NILSEN = "Nilsen et al. 2020, Aquacultural Engineering 91:102124"


def one(value: float) -> np.ndarray:
    return np.array([value])


def grown(weight_g: float, tgc: float, temp_c: float, days: int) -> float:
    weight = one(weight_g)
    for _ in range(days):
        weight = cube_root_growth(weight, one(temp_c), one(tgc), one(1), one(1))
    return float(weight[0])


def test_cube_root_growth_from_27_g_is_exact() -> None:
    # 27^(1/3) = 3; six days at 1 °C with TGC 4000 add 24; 27^3 = 19683
    assert grown(27, 4000, 1, 6) == pytest.approx(19683, rel=1e-12)


@pytest.mark.parametrize(
    ("first_g", "last_g", "days", "temp_c", "tgc", "source"),
    [
        (10, 350, 200, 11, 2.22, NILSEN),
        (104, 633, 159, 8, 3.05, NILSEN),
        (110, 630, 204, 7, 2.65, NILSEN),
    ],
)
def test_growth_coefficient_is_the_published_one(
    first_g: float, last_g: float, days: int, temp_c: float, tgc: float, source: str
) -> None:
    # the published TGC has two decimals: the fish that it grows lie in the band that these leave
    assert source
    implied = 1000 * (np.cbrt(last_g) - np.cbrt(first_g)) / (days * temp_c)
    assert round(float(implied), 2) == tgc
    low, high = (grown(first_g, tgc + step, temp_c, days) for step in (-0.005, 0.005))
    assert low <= last_g <= high
    assert grown(first_g, float(implied), temp_c, days) == pytest.approx(last_g, rel=1e-12)


@pytest.mark.parametrize("formula", [cube_root_growth, power_law_growth])
@pytest.mark.parametrize("temp_c", [0.0, -1.5])
def test_nothing_grows_at_or_below_freezing(formula, temp_c: float) -> None:
    assert formula(one(1000), one(temp_c), one(3), one(1), one(0.5))[0] == 1000


def test_power_law_adds_what_it_says() -> None:
    # 100 + 0.01 * 10^1 * 100^0.5 = 101
    assert power_law_growth(one(100), one(10), one(0.01), one(1), one(0.5))[0] == 101


def test_the_fraction_of_a_dead_fish_is_carried() -> None:
    carry, died = np.zeros(1), []
    for _ in range(10):
        count, carry = expected_deaths(np.array([1000]), one(0.0003), carry)
        died.append(int(count[0]))
    # 0.3 fish a day; the tenth day's tenth of a rounding error is not a missing fish
    assert died == [0, 0, 0, 1, 0, 0, 1, 0, 0, 1]


def test_a_weekly_rate_leaves_the_same_fish_after_a_week() -> None:
    share = daily_share(one(np.nan), one(7.0))
    assert (1 - share[0]) ** 7 == pytest.approx(0.93, rel=1e-14)


def test_the_daily_rate_wins_and_an_impossible_one_is_not_used() -> None:
    assert daily_share(one(2.0), one(50.0))[0] == 0.02
    assert daily_share(one(-1.0), one(0.0))[0] == 0
    assert np.isnan(daily_share(one(101.0), one(np.nan))[0])


@pytest.mark.parametrize(
    ("moved", "before", "factor", "expected_g"),
    [
        (50, 100, 0.88, 76.0),  # (100 * 88 - 50 * 100) / 50
        (50, 100, 1.12, 124.0),
        (50, 100, 1.0, 100.0),
        (80, 100, 0.88, 40.0),  # exactly a fifth stays: still derived
        (81, 100, 0.88, 88.0),  # fewer: the mean of all
        (100, 100, 0.88, 88.0),
        (50, UNKNOWN, 0.88, 88.0),
    ],
)
def test_mass_is_conserved_where_large_or_small_fish_leave(
    moved: int, before: int, factor: float, expected_g: float
) -> None:
    weight = weight_of_staying(one(100.0), np.array([moved]), np.array([before]), one(factor), 0.2)
    assert weight[0] == pytest.approx(expected_g, rel=1e-12)


def test_whole_shares_give_everything_away() -> None:
    # 10 * (1, 1, 1) / 3 = 3 each, one left over: to the first of equal remainders
    shares = whole_shares(np.full(3, 10), np.array([1, 1, 1]), np.zeros(3, dtype=np.int64))
    assert shares.tolist() == [4, 3, 3]
    shares = whole_shares(np.full(3, 10), np.array([1, 0, 5]), np.zeros(3, dtype=np.int64))
    assert shares.tolist() == [2, 0, 8]


def test_whole_shares_keep_groups_apart_and_large_numbers_exact() -> None:
    shares = whole_shares(np.array([5, 7, 5, 7]), np.array([1, 0, 1, 0]), np.array([1, 2, 1, 2]))
    assert shares.tolist() == [3, 0, 2, 0]
    total = 4_000_000_000_000
    shares = whole_shares(np.full(2, total), np.array([3 * total, total]), np.zeros(2, np.int64))
    assert shares.tolist() == [total // 4 * 3, total // 4]


def test_gain_is_growth_less_the_dead() -> None:
    # 1000 fish grow from 100 to 110 g: 10 kg; 50 dead of 110 g: 5.5 kg
    gain = gain_kg(np.array([1000]), np.array([50]), one(100.0), one(110.0))
    assert gain[0] == pytest.approx(4.5, rel=1e-14)


def test_feed_conversion_needs_feed_and_more_than_a_kilogram_of_gain() -> None:
    day = pd.Timestamp("2026-01-31").date()
    ratio = feed_conversion(
        np.array([6.0, 6.0, np.nan, 0.0, 500.0]),
        np.array([4.0, 1.0, 4.0, 4.0, 4.0]),
        Parameters(as_of_date=day, today=day),
    )
    np.testing.assert_array_equal(ratio, [1.5, np.nan, np.nan, np.nan, 10.0])


def test_profiles_are_held_at_both_ends() -> None:
    days = pd.DataFrame(
        {
            "temperature_profile_id": [1, 1, 1],
            "day_number": [10, 20, 20],
            "temp_c": [4.0, 7.0, 9.0],
        }
    )
    wanted = np.array([1, 10, 15, 20, 99, 15])
    temps = profile_temperatures(days, np.array([1, 1, 1, 1, 1, 2]), wanted)
    np.testing.assert_array_equal(temps, [4, 4, 6, 8, 8, np.nan])


def test_halves_are_rounded_away_from_zero() -> None:
    np.testing.assert_array_equal(
        round_half_up(np.array([0.125, -0.125, np.nan]), 2), [0.13, -0.13, np.nan]
    )


def test_days_count_from_1970() -> None:
    assert day_of(pd.Timestamp("1970-01-02").date()) == 1


def test_parameters_refuse_what_no_rule_knows() -> None:
    day = pd.Timestamp("2026-01-31").date()
    with pytest.raises(ValueError, match="expected cube_root or power_law"):
        Parameters(as_of_date=day, today=day, growth_formula="cubic")
