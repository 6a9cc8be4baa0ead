"""Plans and forecast on farms small enough to be followed in the head.

With a TGC of 5 and water of 20 °C the cube root of the weight grows by 0.1 a day.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from small_farm import SmallFarm, day, read_seeds

from anchorline.reference import (
    Farm,
    Forecast,
    Parameters,
    Result,
    Seeds,
    daily_assignment_states,
    forecasts,
    plan_days,
    smoothed_series,
)
from anchorline.reference.tables import UNKNOWN
from anchorline.verify.outlook import TABLES, as_read, compare_outlook, row_keys


@pytest.fixture(scope="module")
def seeds() -> Seeds:
    return read_seeds()


def warm_farm(**scenario: Any) -> SmallFarm:
    """Return a farm whose fish grow by 0.1 a day, with a scenario that says all."""
    farm = SmallFarm()
    farm.rows["tgc_models"][0]["tgc_value"] = 5
    farm.rows["temperature_profile_days"][0]["temp_c"] = 20.0
    says = {"start_date": day(1), "duration_days": 3, "initial_count": 10, "initial_weight_g": 8.0}
    farm.rows["scenarios"][0].update(says | scenario)
    return farm


def plans_of(small: SmallFarm, seeds: Seeds, until: int = 2, **others: Any) -> pd.DataFrame:
    farm, parameters = small.farm(), Parameters(as_of_date=day(until), today=day(until), **others)
    result = daily_assignment_states(farm, seeds, parameters)
    return plan_days(farm, seeds, parameters, result)


@dataclass(frozen=True)
class Known:
    """What a forecast starts from; it can be made again with other plans or calibrations."""

    farm: Farm
    seeds: Seeds
    parameters: Parameters
    result: Result

    @classmethod
    def of(cls, small: SmallFarm, seeds: Seeds, until: int = 2) -> "Known":
        farm, parameters = small.farm(), Parameters(as_of_date=day(until), today=day(until))
        return cls(farm, seeds, parameters, daily_assignment_states(farm, seeds, parameters))

    def forecast(self, **views: list[dict[str, Any]]) -> Forecast:
        other = Farm.from_frames({name: pd.DataFrame(rows) for name, rows in views.items()})
        farm = replace(self.farm, **{name: getattr(other, name) for name in views})
        smoothed = smoothed_series(self.result, self.seeds)
        plans = plan_days(farm, self.seeds, self.parameters, self.result)
        return forecasts(farm, self.seeds, self.parameters, self.result, smoothed, plans)


def forecast_of(small: SmallFarm, seeds: Seeds, until: int = 2) -> Forecast:
    return Known.of(small, seeds, until).forecast()


def roots(days: pd.DataFrame) -> list[float]:
    return [round(float(root), 9) for root in np.cbrt(days["weight_g"])]


# -- plans ------------------------------------------------------------------------------------


def test_a_plan_has_the_growth_and_the_deaths_of_its_models(seeds: Seeds) -> None:
    farm = warm_farm()
    farm.rows["mortality_models"][0]["rate_percent"] = 25
    farm.stay(1, 1, None, 500)
    farm.sample(1, 1, 2, 4000.0)  # a plan knows nothing of it
    plan = plans_of(farm, seeds)
    assert roots(plan) == [2.1, 2.2, 2.3]
    # 2.5, of which half a fish is carried; 2 + 0.5; 1.5 + 0.5
    assert plan["population"].tolist() == [8, 6, 4]
    assert set(plan["plan_source"]) == {"computed"}
    assert plan["is_in_force"].all()
    assert not plan["is_pinned"].any()


def test_a_plan_takes_from_its_batch_what_its_scenario_leaves_open(seeds: Seeds) -> None:
    farm = warm_farm(initial_count=0, initial_weight_g=None, duration_days=None)
    farm.stay(1, 1, 3, 100, avg_weight_g=27.0)
    farm.stay(2, 1, None, 300, avg_weight_g=27.0)
    farm.stay(3, 3, None, lifecycle_stage_id=2)
    farm.transfer(1, 1, 3, 3, 100, source_population_before=100)
    plan = plans_of(farm, seeds, until=4)
    # the transfer is no fish from outside
    assert set(plan["population"]) == {400}
    assert roots(plan)[0] == 3.1
    # nobody says how long, and the last stage has no end
    assert len(plan) == 900


def test_what_comes_after_the_as_of_date_is_in_no_plan(seeds: Seeds) -> None:
    farm = warm_farm(initial_count=None)
    farm.stay(1, 1, None, 100)
    farm.stay(2, 3, None, 900)
    assert set(plans_of(farm, seeds, until=2)["population"]) == {100}


def test_a_plan_is_followed_while_its_batch_lives(seeds: Seeds) -> None:
    farm = warm_farm()
    farm.stay(1, 1, None, 100)
    assert len(plans_of(farm, seeds, until=5)) == 5
    farm.rows["scenarios"][0]["duration_days"] = 5000
    assert len(plans_of(farm, seeds)) == 1100


def test_an_open_plan_ends_when_its_fish_have_outgrown_the_last_stage(seeds: Seeds) -> None:
    farm = warm_farm(duration_days=None, initial_weight_g=1000.0)
    farm.rows["lifecycle_stages"][2]["expected_weight_max_g"] = 10.25**3
    farm.stay(1, 1, None, 100)
    assert roots(plans_of(farm, seeds, until=1)) == [10.1, 10.2, 10.3]
    # lived longer, planned longer
    assert len(plans_of(farm, seeds, until=5)) == 5


def test_a_plan_starts_in_a_stage_that_its_fish_fit_in(seeds: Seeds) -> None:
    farm = warm_farm()
    for number, weight in enumerate((99.0, 100.0, 600.0), start=8):
        scenario = {"scenario_id": number, "initial_weight_g": weight, "duration_days": 1}
        farm.add("scenarios", farm.rows["scenarios"][0] | scenario)
    farm.stay(1, 1, None, 100)
    plan = plans_of(farm, seeds, until=1).drop_duplicates("scenario_id")
    # of 99 g they reach the limit of 100 g on the first day
    assert plan["lifecycle_stage_id"].tolist() == [1, 2, 2, 3]


def test_fish_that_do_not_grow_leave_their_stage_with_time(seeds: Seeds) -> None:
    farm = warm_farm(duration_days=4)
    farm.add(
        "tgc_model_stages", {"tgc_model_id": 1, "lifecycle_stage_key": "parr", "tgc_value": 0.0}
    )
    farm.stay(1, 1, None, 100)
    assert set(plans_of(farm, seeds)["lifecycle_stage_id"]) == {1}
    farm.rows["lifecycle_stages"][0]["typical_duration_days"] = 2
    plan = plans_of(farm, seeds)
    assert plan["lifecycle_stage_id"].tolist() == [1, 2, 2, 2]
    assert roots(plan) == [2, 2, 2.1, 2.2]


def test_models_change_on_their_day_of_the_batch(seeds: Seeds) -> None:
    farm = warm_farm(start_date=day(2))
    farm.add("tgc_models", {"tgc_model_id": 2, "tgc_value": 2.5, "temperature_profile_id": 1})
    farm.add(
        "scenario_model_changes",
        {
            "scenario_model_change_id": 1,
            "scenario_id": 7,
            "change_day": 3,
            "new_tgc_model_id": 2,
        },
    )
    farm.stay(1, 1, None, 100)
    assert roots(plans_of(farm, seeds)) == [2.1, 2.15, 2.2]


def test_the_stored_days_of_the_pinned_run_come_first(seeds: Seeds) -> None:
    farm = warm_farm()
    farm.add("scenarios", farm.rows["scenarios"][0] | {"scenario_id": 8})
    farm.add("projection_runs", *({"projection_run_id": n, "scenario_id": 8} for n in (1, 2)))
    farm.rows["batches"][0]["pinned_projection_run_id"] = 2
    stored = (
        # run, day, weight, number, stage
        (1, 1, 99.0, 90.0, 2),  # of a run that nobody pinned
        (2, 1, 5.0, 90.0, 2),
        (2, 1, 27.0, 89.6, 2),  # written last
        (2, 2, 64.0, 80.0, None),
        (2, 3, 0.0, 70.0, 2),
        (2, 4, 125.0, -1.0, 2),
    )
    farm.add(
        "projection_days",
        *(
            {
                "projection_day_id": number,
                "projection_run_id": run,
                "projection_date": day(on),
                "avg_weight_g": weight,
                "population": count,
                "lifecycle_stage_id": stage,
            }
            for number, (run, on, weight, count, stage) in enumerate(stored, start=1)
        ),
    )
    farm.stay(1, 1, None, 100)
    plan = plans_of(farm, seeds)
    other, pinned = plan[plan["scenario_id"] == 7], plan[plan["scenario_id"] == 8]
    assert roots(pinned) == [3, 4, 4.1]
    assert pinned["population"].tolist() == [90, 80, 80]
    assert pinned["lifecycle_stage_id"].tolist() == [2, 1, 1]
    assert pinned["plan_source"].tolist() == ["stored_run", "stored_run", "computed"]
    assert pinned["is_pinned"].all()
    assert roots(other) == [2.1, 2.2, 2.3]
    assert not other["is_in_force"].any()


def test_the_baseline_starts_with_the_first_state(seeds: Seeds) -> None:
    farm = warm_farm()
    farm.rows.pop("scenarios")
    farm.stay(1, 3, None, 100)
    plan = plans_of(farm, seeds, until=4)
    assert plan["scenario_id"].isna().all()
    assert plan["state_date"].iloc[0] == pd.Timestamp(day(3))
    assert plans_of(warm_farm(), seeds).empty


def test_a_plan_of_another_formula_is_left_out(seeds: Seeds) -> None:
    farm = warm_farm()
    farm.rows["tgc_models"][0].update(tgc_value=0.00825, exponent_n=1.0, exponent_m=2 / 3)
    farm.add("tgc_models", farm.rows["tgc_models"][0] | {"tgc_model_id": 2, "tgc_value": 5})
    farm.add("scenarios", farm.rows["scenarios"][0] | {"scenario_id": 8, "tgc_model_id": 2})
    farm.stay(1, 1, None, 100)
    assert set(plans_of(farm, seeds, growth_formula="power_law")["scenario_id"]) == {7}
    assert set(plans_of(farm, seeds)["scenario_id"]) == {7, 8}


# -- forecast ---------------------------------------------------------------------------------


def pen(**stay: Any) -> SmallFarm:
    """Return a farm with a pen of 1000 adult fish that weigh 10.2^3 g on the second day."""
    farm = warm_farm(initial_weight_g=1000.0, duration_days=80)
    grown = {"lifecycle_stage_id": 3, "avg_weight_g": 1000.0} | stay
    farm.stay(1, 1, None, 1000, **grown)
    return farm


def start_variance(seeds: Seeds, degree_days: float) -> float:
    """Return P: 15 % of 1000 g are (10 * 0.15 / 3)^2, and the process noise since."""
    return 0.25 + seeds.smoothing("process_noise") * degree_days


def only_row(frame: pd.DataFrame) -> dict[str, Any]:
    assert len(frame) == 1
    return {str(name): frame[name].iloc[0] for name in frame}


def test_a_forecast_goes_on_from_the_newest_smoothed_state(seeds: Seeds) -> None:
    ahead = forecast_of(pen(), seeds)
    days = ahead.days.head(3)
    assert days["days_ahead"].tolist() == [0, 1, 2]
    assert days["root"].to_numpy() == pytest.approx([10.2, 10.3, 10.4], rel=1e-12)
    # a TGC that is off by 10 % is so every day: 0.01 a day, squared at the end
    expected = [start_variance(seeds, 40), start_variance(seeds, 60) + 0.01**2]
    expected.append(start_variance(seeds, 80) + 0.02**2)
    assert days["root_variance"].to_numpy() == pytest.approx(expected, rel=1e-12)
    first = ahead.daily.iloc[0]
    assert first["days_ahead"] == 1
    assert first["forecast_weight_g"] == pytest.approx(10.3**3, abs=1e-4)
    reach = 1.96 * np.sqrt(expected[1])
    assert first["forecast_weight_low_g"] == pytest.approx((10.3 - reach) ** 3, abs=1e-4)
    assert first["forecast_weight_high_g"] == pytest.approx((10.3 + reach) ** 3, abs=1e-4)
    assert first["forecast_biomass_kg"] == pytest.approx(10.3**3, abs=0.01)


def test_harvest_is_when_half_have_its_size_and_ends_when_nine_in_ten_have(seeds: Seeds) -> None:
    ahead = forecast_of(pen(), seeds)
    row = only_row(ahead.containers)
    # the root of 5000 g is 17.0998: 69 days of 0.1 from 10.2 on
    assert row["expected_harvest_date"] == pd.Timestamp(day(2 + 69))
    assert row["expected_harvest_weight_g"] == pytest.approx(17.1**3, abs=1e-4)
    days = ahead.days.set_index("days_ahead")
    reach = seeds.forecast("harvest_quantile_z") * np.sqrt(days["root_variance"])
    goal = 5000 ** (1 / 3)
    early, late = (days.index[days["root"] + sign * reach >= goal][0] for sign in (1, -1))
    assert row["harvest_date_p10"] == pd.Timestamp(day(2 + int(early)))
    assert row["harvest_date_p90"] == pd.Timestamp(day(2 + int(late)))
    assert row["last_forecast_date"] == row["harvest_date_p90"]
    assert early < 69 < late == days.index[-1]
    # the plan began with 10 on day 1: 71 days of 0.1, the last one on day 71
    assert row["planned_harvest_date"] == pd.Timestamp(day(71))
    assert row["harvest_days_behind_plan"] == 0
    assert row["forecast_tier"] == "PROJECTED"


def test_harvest_size_is_at_most_where_the_last_stage_ends(seeds: Seeds) -> None:
    farm = pen()
    farm.rows["lifecycle_stages"][2]["expected_weight_max_g"] = 1000.0
    ahead = forecast_of(farm, seeds)
    row = only_row(ahead.containers)
    assert row["harvest_weight_g"] == 1000
    # they weigh more: expected on the day itself
    assert row["expected_harvest_date"] == pd.Timestamp(day(2))


def test_fish_that_do_not_grow_are_followed_for_a_thousand_days(seeds: Seeds) -> None:
    farm = pen()
    farm.rows["temperature_profile_days"][0]["temp_c"] = 0.0
    ahead = forecast_of(farm, seeds)
    row = only_row(ahead.containers)
    assert len(ahead.daily) == 1000
    assert row["expected_harvest_date"] is pd.NaT
    assert np.isnan(row["expected_harvest_weight_g"])
    assert row["expected_harvest_population"] is pd.NA
    assert row["harvest_days_behind_plan"] is pd.NA


def test_the_water_stays_as_much_warmer_as_it_was(seeds: Seeds) -> None:
    farm = pen()
    measured = {1: 21.0, 2: 29.0, 3: 10.0}
    for number, temp_c in measured.items():
        if number > 1:
            farm.stay(number, 1, None, 1000, lifecycle_stage_id=3, avg_weight_g=1000.0)
        farm.add(
            "environmental_readings",
            {
                "reading_id": number,
                "container_id": number,
                "parameter_id": 1,
                "reading_date": day(2),
                "reading_value": temp_c,
            },
        )
    ahead = forecast_of(farm, seeds)
    assert ahead.containers["temperature_bias_c"].tolist() == [1, 2, -2]
    root = ahead.days[ahead.days["days_ahead"] <= 1].groupby("assignment_id")["root"]
    grown = (root.last() - root.first()).tolist()
    assert grown == pytest.approx([21 * 0.005, 22 * 0.005, 18 * 0.005], rel=1e-9)
    # two weeks later nobody knows any more
    later = forecast_of(farm, seeds, until=16).containers
    assert later["temperature_bias_c"].tolist() == [0, 0, 0]


def test_growth_is_that_of_the_newest_calibration(seeds: Seeds) -> None:
    farm = pen()
    farm.add("containers", {"container_id": 1, "container_name": "Pen", "area_id": 5})
    known = Known.of(farm, seeds)
    fits = [
        {"calibration_id": 1, "process_noise": 1e-3},
        {"calibration_id": 2, "process_noise": None},
    ]

    def step(*rows: tuple[int, str, int | None, float]) -> tuple[float, float]:
        columns = ["calibration_id", "site_kind", "site_id", "tgc_factor"]
        others = {"lifecycle_stage_id": 3, "tgc_factor_variance": 0.04}
        factors = [dict(zip(columns, row, strict=True)) | others for row in rows]
        days = known.forecast(calibrations=fits, calibrated_tgc=factors).days
        roots, variances = days["root"], days["root_variance"]
        return roots[1] - roots[0], variances[1] - variances[0]

    # the newest has no factors, and no process noise: that of the one before
    found = [(1, "area", 5, 0.5)]
    assert step(*found) == pytest.approx((0.1, 20 * 1e-3 + 0.01**2), rel=1e-9)
    found += [(2, "all", None, 2.0), (2, "station", 5, 0.5)]
    assert step(*found) == pytest.approx((0.2, 20 * 1e-3 + 0.02**2), rel=1e-9)
    found += [(2, "area", 5, 0.8)]
    assert step(*found) == pytest.approx((0.08, 20 * 1e-3 + 0.02**2), rel=1e-9)


def test_later_stages_grow_as_they_do_anywhere(seeds: Seeds) -> None:
    farm = pen(lifecycle_stage_id=2)
    farm.rows["lifecycle_stages"][1]["expected_weight_max_g"] = 10.25**3
    farm.add("containers", {"container_id": 1, "container_name": "Tank", "hall_id": 4})
    farm.add("halls", {"hall_id": 4, "freshwater_station_id": 6})
    farm.add("calibrations", {"calibration_id": 1})
    for stage, kind, site, factor in (
        (2, "station", 6, 2.0),
        (3, "station", 6, 3.0),
        (3, "all", None, 0.5),
    ):
        farm.add(
            "calibrated_tgc",
            {
                "calibration_id": 1,
                "lifecycle_stage_id": stage,
                "site_kind": kind,
                "site_id": site,
                "tgc_factor": factor,
                "tgc_factor_variance": 0.01,
            },
        )
    ahead = forecast_of(farm, seeds)
    assert ahead.days["root"].head(4).to_numpy() == pytest.approx([10.2, 10.4, 10.45, 10.5])
    row = only_row(ahead.containers)
    assert row["transfer_weight_g"] == pytest.approx(10.25**3, abs=1e-4)
    assert row["expected_transfer_date"] == pd.Timestamp(day(3))
    assert row["expected_transfer_weight_g"] == pytest.approx(10.4**3, abs=1e-4)
    assert row["expected_transfer_population"] == 1000
    assert row["forecast_tier"] == "NEEDS_PLANNING"


def test_fish_past_their_transfer_have_no_date_for_it(seeds: Seeds) -> None:
    farm = pen(lifecycle_stage_id=1)
    row = only_row(forecast_of(farm, seeds, until=1).containers)
    # 1000 g in parr: smolt at the end of the first day, adult from the second on
    assert row["lifecycle_stage_id"] == 2
    assert row["expected_transfer_date"] is pd.NaT
    assert np.isnan(row["transfer_weight_g"])


def test_a_harvest_that_is_near_has_to_be_planned(seeds: Seeds) -> None:
    known = Known.of(pen(avg_weight_g=16.0**3), seeds)
    for activity, container, status, tier in (
        ("HARVEST", None, "PENDING", "PLANNED"),
        ("HARVEST", 1, "IN_PROGRESS", "PLANNED"),
        ("HARVEST", 2, "PENDING", "NEEDS_PLANNING"),
        ("HARVEST", None, "COMPLETED", "NEEDS_PLANNING"),
        ("TRANSFER", None, "PENDING", "NEEDS_PLANNING"),
    ):
        planned = {
            "planned_activity_id": 1,
            "batch_id": 1,
            "container_id": container,
            "activity_type": activity,
            "activity_status": status,
        }
        row = only_row(known.forecast(planned_activities=[planned]).containers)
        assert row["expected_harvest_date"] == pd.Timestamp(day(2 + 9))
        assert row["forecast_tier"] == tier
        assert row["needs_attention"] == (tier == "NEEDS_PLANNING")
        assert row["has_planned_transfer"] == (activity == "TRANSFER")


def test_only_fish_that_stay_are_forecast(seeds: Seeds) -> None:
    farm = pen()
    farm.stay(2, 1, 3, 50)  # leaves tomorrow
    farm.stay(3, 1, 4, 50)  # leaves later, which nobody knows today
    farm.stay(4, 1, None, 0)
    farm.stay(5, 1, 2, 50)
    assert set(forecast_of(farm, seeds).containers["assignment_id"]) == {1, 3}


def test_a_farm_without_open_assignments_has_no_forecast(seeds: Seeds) -> None:
    farm = warm_farm()
    farm.stay(1, 1, 2, 50)
    ahead = forecast_of(farm, seeds)
    assert ahead.days.empty
    assert ahead.daily.empty
    assert ahead.containers.empty


# -- the comparison ---------------------------------------------------------------------------


def test_every_column_that_is_off_is_found(seeds: Seeds) -> None:
    known = Known.of(pen(), seeds)
    ahead = known.forecast()
    ours = {
        "int_plan_days": plan_days(known.farm, seeds, known.parameters, known.result),
        "int_forecast_days": ahead.days,
        "forecast_daily": ahead.daily,
        "container_forecast": ahead.containers,
    }
    theirs = {table.name: as_read(ours[table.name]) for table in TABLES}
    assert all(found.agrees for found in compare_outlook(ours, theirs, 5))
    for table in TABLES:
        columns = [rule.column for rule in table.rules]
        off = theirs[table.name].copy()
        for column in columns:
            values = off[column].astype(object)
            values.iloc[0] = other_value(values.iloc[0])
            off[column] = values.astype(off[column].dtype)
        (found,) = compare_outlook(ours, {table.name: off}, 100)
        assert [(c.name, c.differing) for c in found.columns] == [(name, 1) for name in columns]
        (found,) = compare_outlook(ours, {table.name: off.iloc[1:]}, 5)
        assert found.only_in_reference == 1


def other_value(value: Any) -> Any:
    if value is None or isinstance(value, str):
        return f"not {value}"
    if isinstance(value, bool | np.bool_):
        return not value
    if value == UNKNOWN or np.isnan(value):
        return type(value)(1)
    return value + 1


def test_rows_are_told_apart_by_all_columns_of_their_key() -> None:
    ours = pd.DataFrame({"a": [1, 1, 2], "b": [1, UNKNOWN, 1]})
    theirs = pd.DataFrame({"a": [2, 1, 3], "b": [1, UNKNOWN, 1]})
    first, second = row_keys(ours, theirs, ["a", "b"])
    assert len(set(first)) == 3
    assert second[:2].tolist() == [first[2], first[1]]
    assert second[2] not in first
