"""Hidden samples: which are hidden, what the series then say, and how that is scored."""

import numpy as np
import pandas as pd
import pytest
from small_farm import SmallFarm, day, read_seeds

from anchorline.holdout import (
    estimates,
    hidden_samples,
    score,
    without_samples,
)
from anchorline.reference import Farm, Parameters, Result, Seeds, daily_assignment_states

LAST = 12


@pytest.fixture(scope="module")
def seeds() -> Seeds:
    return read_seeds()


def compute(farm: Farm, seeds: Seeds) -> Result:
    return daily_assignment_states(farm, seeds, Parameters(as_of_date=day(LAST), today=day(LAST)))


def sampled_farm() -> SmallFarm:
    """One assignment at 0 °C, weighed on days 2, 4, ..., 10: 100 g, 110 g, ..., 140 g."""
    farm = SmallFarm()
    farm.stay(1, 1, None, 100)
    for number in range(1, 6):
        farm.sample(number, 1, 2 * number, 90.0 + 10 * number)
    return farm


def test_every_second_and_every_third_sample_is_hidden_never_the_first(seeds: Seeds) -> None:
    result = compute(sampled_farm().farm(), seeds)
    assert hidden_samples(result, 2).tolist() == [2, 4]
    assert hidden_samples(result, 3).tolist() == [3]


def test_each_assignment_is_counted_by_itself_and_each_day_once(seeds: Seeds) -> None:
    farm = sampled_farm()
    farm.stay(2, 1, None, 100)
    farm.sample(11, 2, 3, 100.0)
    farm.sample(12, 2, 5, 100.0)
    farm.sample(13, 2, 5, 104.0)
    assert sorted(hidden_samples(compute(farm.farm(), seeds), 2)) == [2, 4, 12, 13]


def test_what_no_state_is_reset_by_is_not_counted(seeds: Seeds) -> None:
    farm = sampled_farm()
    farm.add("anchor_exclusions", {"anchor_type": "growth_sample", "record_id": 2})
    # a day on which another weighing would say what was hidden
    farm.add(
        "manual_anchors",
        {"manual_anchor_id": 1, "assignment_id": 1, "anchor_date": day(6), "weight_g": 100.0},
    )
    assert hidden_samples(compute(farm.farm(), seeds), 2).tolist() == [4]


def hide(farm: SmallFarm, seeds: Seeds, every: int) -> pd.DataFrame:
    whole = compute(farm.farm(), seeds)
    hidden = hidden_samples(whole, every)
    checks = whole.measurements[whole.measurements["record_id"].isin(hidden)]
    return estimates(compute(without_samples(farm.farm(), hidden), seeds), seeds, checks)


def test_the_series_have_not_seen_what_is_hidden(seeds: Seeds) -> None:
    rows = hide(sampled_farm(), seeds, 2)
    assert rows["measured_g"].tolist() == pytest.approx([110, 130])
    assert rows["days_since_anchor"].tolist() == [2, 2]
    # at 0 °C the state stays what was weighed last; half-way a line says the middle
    assert rows["forward_g"].tolist() == pytest.approx([100, 120])
    assert rows["linear_g"].tolist() == pytest.approx([110, 130])
    assert rows["is_between"].tolist() == [True, True]
    # another weight that is hidden changes nothing
    farm = sampled_farm()
    farm.rows["growth_samples"][1]["avg_weight_g"] = 400.0
    other = hide(farm, seeds, 2)
    names = [name for name in rows.columns if name not in ("measured_g", "sample_variance")]
    pd.testing.assert_frame_equal(rows[names], other[names])
    assert other["measured_g"].tolist() == pytest.approx([400, 130])


def test_after_the_last_anchor_no_line_is_drawn(seeds: Seeds) -> None:
    farm = sampled_farm()
    farm.sample(6, 1, 12, 150.0)
    rows = hide(farm, seeds, 2)
    assert rows["is_between"].tolist() == [True, True, False]
    assert rows["linear_g"].tolist() == pytest.approx([110, 130, np.nan], nan_ok=True)
    assert rows["forward_g"].tolist() == pytest.approx([100, 120, 140])
    # hindsight has nothing to add where nothing follows
    assert rows["smoothed_g"].iloc[2] == rows["filtered_g"].iloc[2]


def test_what_is_not_hidden_is_compared_with_the_state_of_the_day(seeds: Seeds) -> None:
    farm = sampled_farm()
    for number, on in ((1, 1), (2, 4), (3, 5)):
        farm.add(
            "health_sampling_events",
            {
                "health_sampling_event_id": number,
                "assignment_id": 1,
                "sampling_date": day(on),
                "fish_sampled_count": 10,
                "avg_weight_g": 105.0,
            },
        )
    result = compute(farm.farm(), seeds)
    checks = result.measurements[result.measurements["anchor_status"] == "not_an_anchor"]
    rows = estimates(result, seeds, checks)
    assert rows["forward_g"].tolist() == pytest.approx([50, 110, 110])
    assert rows["days_since_anchor"].tolist() == [-1, 0, 1]
    assert rows["linear_g"].tolist() == pytest.approx([np.nan, 110, 115], nan_ok=True)


def scored(**columns: object) -> pd.DataFrame:
    usual: dict[str, object] = {
        "assignment_id": 1,
        "batch_id": [1, 1, 2],
        "measured_g": [1000.0, 1000.0, 1000.0],
        "sample_variance": 3.0,
        "days_since_anchor": [1, 7, 8],
        "is_between": [True, True, False],
        "forward_g": [1100.0, 900.0, 1000.0],
        "filtered_g": 1331.0,
        "filtered_variance": 0.25,
        "smoothed_g": 1000.0,
        "smoothed_variance": 1.0,
        "linear_g": [1000.0, 1000.0, np.nan],
    }
    return score(pd.DataFrame(usual | columns)).set_index(["days_since_anchor", "series"])


def test_errors_are_told_by_days_since_the_last_anchor() -> None:
    table = scored()
    assert table["samples"].to_dict() == {
        ("1-7", "forward"): 2, ("1-7", "filtered"): 2, ("1-7", "smoothed"): 2, ("1-7", "linear"): 2,
        ("8-14", "forward"): 1, ("8-14", "filtered"): 1, ("8-14", "smoothed"): 1,
        ("all", "forward"): 3, ("all", "filtered"): 3, ("all", "smoothed"): 3, ("all", "linear"): 2,
        ("all between anchors", "forward"): 2, ("all between anchors", "filtered"): 2,
        ("all between anchors", "smoothed"): 2, ("all between anchors", "linear"): 2,
    }  # fmt: skip
    assert table.loc[("1-7", "forward"), "mape_percent"] == pytest.approx(10)
    assert table.loc[("all", "forward"), "mape_percent"] == pytest.approx(20 / 3)
    assert table.loc[("all", "filtered"), "mape_percent"] == pytest.approx(33.1)


def test_the_band_of_a_prediction_holds_the_samples_own_noise() -> None:
    # filtered 11 against measured 10: a state of +-0.98; with the sample's noise of +-3.5
    table = scored()
    assert table.loc[("all", "filtered"), "in_band_percent"] == 0
    assert table.loc[("all", "filtered"), "in_prediction_percent"] == 100
    assert table.loc[("all", "smoothed"), "in_band_percent"] == 100
    assert np.isnan(table.loc[("all", "forward"), "in_band_percent"])
    some = scored(filtered_variance=[0.27, 0.25, 0.25])
    assert some.loc[("all", "filtered"), "in_band_percent"] == pytest.approx(100 / 3)


def test_only_the_wanted_batches_are_scored() -> None:
    rows = pd.DataFrame(
        {
            "batch_id": [1, 2],
            "measured_g": 100.0,
            "sample_variance": 1.0,
            "days_since_anchor": 3,
            "is_between": True,
            **{f"{name}_g": 100.0 for name in ("forward", "filtered", "smoothed", "linear")},
            "filtered_variance": 1.0,
            "smoothed_variance": 1.0,
        }
    )
    assert set(score(rows, [2])["samples"]) == {1}
    assert set(score(rows)["samples"]) == {2}
    assert score(rows, [3]).empty
