"""The calibration: it finds what the fish were made with, and says how well it knows it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import psycopg
import pytest
from click.testing import CliRunner, Result
from conftest import BuiltDemo

from anchorline.calibration.database import CalibrationDatabase, calibration_row, engine_version
from anchorline.calibration.database import Farm as BuiltFarm
from anchorline.calibration.design import SITE, STAGE, Inputs, make_design
from anchorline.calibration.fit import (
    Spread,
    calibrate,
    log_likelihood,
    mean_error_pct,
    without_own_batch,
)
from anchorline.calibration.innovations import innovations
from anchorline.cli import main
from anchorline.connection import connect
from anchorline.database import EmbeddedServer
from anchorline.errors import AnchorlineError

CONSTANTS = {
    "process_noise": 2e-5,
    "sample_bias": 0.03,
    "default_weight_cv": 0.2,
    "tgc_factor_sd": 0.15,
    "tgc_batch_sd": 0.05,
    "lowest_tgc_factor": 0.1,
    "minimum_pair_count": 60.0,
}
SPREAD = Spread.of(CONSTANTS)


class Fish:
    """Stays of simulated fish, day by day of their clock: one stage each, one site each."""

    def __init__(self) -> None:
        self.stays: list[dict[str, Any]] = []
        self.measurements: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        self.growth: list[dict[str, Any]] = []
        self.handovers: list[dict[str, Any]] = []

    def stay(self, key: int, batch: int, site: int | None, root: float, variance: float) -> None:
        self.stays.append(
            {
                "assignment_id": key,
                "batch_id": batch,
                "site_kind": None if site is None else "area",
                "site_id": -1 if site is None else site,
                "site_name": None if site is None else f"Site {site}",
                "start_root": root,
                "outside_variance": variance,
            }
        )

    def grow(self, key: int, day: int, *, total: float, last: float, stage: int = 6) -> None:
        """Let a stay grow by `last` since the event before, and by `total` in all, at 10 °C."""
        self.events.append(
            {"assignment_id": key, "day": day, "degree_days": 10.0 * day, "root_drift": total}
        )
        before = [row["day"] for row in self.growth if row["assignment_id"] == key]
        self.growth.append(
            {
                "assignment_id": key,
                "day": day,
                "lifecycle_stage_id": stage,
                "growth": last,
                "degree_days": 10.0 * (day - max(before, default=0)),
            }
        )

    def weigh(
        self, key: int, day: int, root: float, *, std: float | None = 0.0, size: int = 100
    ) -> None:
        """Weigh fish of a stay; by default all of them, so that only the bias is left."""
        self.measurements.append(
            {
                "assignment_id": key,
                "day": day,
                "weight_g": root**3,
                "std_deviation_weight_g": std,
                "sample_size": size,
                "population": 100,
            }
        )

    def inputs(self) -> Inputs:
        def frame(rows: list[dict[str, Any]], columns: str) -> pd.DataFrame:
            return pd.DataFrame(rows, columns=columns.split())

        return Inputs(
            stays=frame(
                self.stays,
                "assignment_id batch_id site_kind site_id site_name start_root outside_variance",
            ),
            measurements=frame(
                self.measurements,
                "assignment_id day weight_g std_deviation_weight_g sample_size population",
            ),
            events=frame(self.events, "assignment_id day degree_days root_drift"),
            growth=frame(self.growth, "assignment_id day lifecycle_stage_id growth degree_days"),
            handovers=frame(self.handovers, "source_assignment_id assignment_id day fish_share"),
        )


def simulated(
    seed: int,
    factors: dict[int, float],
    *,
    process_noise: float = 4e-5,
    sample_bias: float = 0.02,
    batches: int = 8,
    weighings: int = 8,
) -> Inputs:
    """Fish that grow by a factor of their site against a model of TGC 3, weighed monthly."""
    random = np.random.default_rng(seed)
    fish = Fish()
    key = 0
    for site, factor in factors.items():
        for batch in range(batches):
            own = factor + random.normal(0, SPREAD.batch_sd)
            for _ in range(3):
                key += 1
                root = 5.0
                fish.stay(key, 100 * site + batch, site, root, 0.04)
                root += random.normal(0, 0.2)
                for number in range(1, weighings + 1):
                    grown = 0.003 * 300
                    root += own * grown + random.normal(0, np.sqrt(process_noise * 300))
                    seen = root * (1 + random.normal(0, sample_bias) / 3)
                    fish.grow(key, 30 * number, total=grown * number, last=grown)
                    fish.weigh(key, 30 * number, seen)
    return fish.inputs()


# -- what is found ---------------------------------------------------------------------------------


def test_growth_and_noise_are_found_that_the_fish_were_made_with() -> None:
    truth = {1: 0.85, 2: 1.2}
    held = {"growth": 0, "process_noise": 0, "sample_bias": 0}
    seeds = range(10)
    for seed in seeds:
        found = calibrate(simulated(seed, truth, batches=4), CONSTANTS)
        sites = found.tgc[found.tgc["site_kind"] == "area"].set_index("site_id")
        assert sites["tgc_model"].tolist() == pytest.approx([3, 3])
        held["growth"] += sum(
            sites["tgc_low"][site] <= 3 * factor <= sites["tgc_high"][site]
            for site, factor in truth.items()
        )
        assert found.noise is not None
        for name, value in (("process_noise", 4e-5), ("sample_bias", 0.02)):
            estimate = getattr(found.noise, name)
            assert estimate.low < estimate.value < estimate.high
            held[name] += estimate.low <= value <= estimate.high
        # a batch is expected better by what others tell than by the model
        assert found.error_after_pct < found.error_before_pct
    # of 95 % intervals; fewer by chance once in a thousand times
    assert held["growth"] >= 15
    assert held["process_noise"] >= 7
    assert held["sample_bias"] >= 7


def test_the_interval_is_no_wider_than_it_must_be() -> None:
    found = calibrate(simulated(1, {1: 1.2}), CONSTANTS)
    [site] = found.tgc[found.tgc["site_kind"] == "area"].to_dict("records")
    # eight batches that differ by 5 %: the site's mean cannot be known better than by 1.8 %
    sd = np.sqrt(site["tgc_factor_variance"] - SPREAD.batch_sd**2)
    assert 0.05 / np.sqrt(8) * 0.95 < sd < 0.025
    assert site["anchor_pair_count"] == 8 * 3 * 8


def test_a_wrong_tgc_does_not_pass_for_noise() -> None:
    right = calibrate(simulated(5, {1: 1.0}), CONSTANTS)
    wrong = calibrate(simulated(5, {1: 0.7}), CONSTANTS)
    assert right.noise is not None
    assert wrong.noise is not None
    assert wrong.noise.process_noise.value == pytest.approx(
        right.noise.process_noise.value, rel=0.2
    )
    assert wrong.error_before_pct > 2 * right.error_before_pct


def test_noise_that_the_data_do_not_bound_is_said_to_be_open() -> None:
    found = calibrate(simulated(3, {1: 1.0}, sample_bias=1e-9), CONSTANTS)
    assert found.noise is not None
    assert found.noise.sample_bias.low == 0
    assert found.noise.sample_bias.high < 0.02
    assert found.noise.sample_bias.is_weak
    assert not found.noise.process_noise.is_weak


# -- little data -----------------------------------------------------------------------------------


def one_pair() -> Fish:
    """The model grows a root of 10 by 1, and fish weighed with a root of 10.8 grew by 0.8.

    All are weighed, and the start is known: the variance of 10.8^2/9 0.03^2 and of q times 100
    degree-days is all there is.
    """
    fish = Fish()
    fish.stay(1, 1, 1, 10.0, 1e-12)
    fish.grow(1, 10, total=1.0, last=1.0)
    fish.weigh(1, 10, 10.8)
    return fish


def test_one_pair_is_drawn_to_the_model_by_how_little_it_says() -> None:
    found = calibrate(one_pair().inputs(), CONSTANTS)
    variance = 10.8**2 / 9 * 0.03**2 + 2e-5 * 100 + SPREAD.batch_sd**2
    share = 0.15**2 / (0.15**2 + variance)
    assert found.tgc["site_kind"].tolist() == ["all", "area"]
    assert found.tgc["tgc_fitted"].tolist() == pytest.approx([8.0, 8.0])
    assert found.tgc["tgc_model"].tolist() == pytest.approx([10.0, 10.0])
    assert found.tgc["tgc_factor"].tolist() == pytest.approx([1 - 0.2 * share] * 2)
    assert found.tgc["tgc_factor_variance"].tolist() == pytest.approx(
        [0.15**2 * (1 - share) + SPREAD.batch_sd**2] * 2
    )
    assert found.noise is None
    assert found.pair_count == 1
    assert found.error_before_pct == pytest.approx(100 * ((11 / 10.8) ** 3 - 1))


def test_a_single_batch_is_judged_by_its_own_factor() -> None:
    found = calibrate(one_pair().inputs(), CONSTANTS)
    expected = 10 + found.tgc["tgc_factor"][0]
    assert found.batch_count == 1
    assert found.error_after_pct == pytest.approx(100 * ((expected / 10.8) ** 3 - 1))


def test_the_less_is_measured_the_nearer_is_the_model() -> None:
    few = calibrate(simulated(2, {1: 1.3}, batches=1, weighings=1), CONSTANTS)
    many = calibrate(simulated(2, {1: 1.3}), CONSTANTS)
    assert 1 < few.tgc["tgc_factor"][0] < many.tgc["tgc_factor"][0] < 1.35
    assert few.tgc["tgc_factor_variance"][0] > many.tgc["tgc_factor_variance"][0]


def test_without_a_measurement_nothing_is_found() -> None:
    fish = one_pair()
    fish.measurements = []
    found = calibrate(fish.inputs(), CONSTANTS)
    assert found.pair_count == 0
    assert found.tgc.empty
    assert found.noise is None
    assert np.isnan(found.error_before_pct)
    farm = BuiltFarm(fish.inputs(), CONSTANTS, {}, pd.Timestamp("2025-01-01").date(), found.tgc)
    with pytest.raises(AnchorlineError, match="nothing to calibrate with: no anchor"):
        calibration_row(found, farm, by="somebody")
    with pytest.raises(AnchorlineError, match="the marts hold no day"):
        calibration_row(found, replace(farm, as_of_date=None), by="somebody")


def test_a_sample_without_spread_has_the_usual_one() -> None:
    def variance(std: float | None) -> float:
        fish = one_pair()
        fish.measurements = []
        fish.weigh(1, 10, 10.0, std=std, size=25)
        design = make_design(fish.inputs(), SITE, CONSTANTS["default_weight_cv"])
        [total] = innovations(design, 1e-30, 0.03).variance
        return float(total)

    # 1000 g; 25 of 100 fish, of which a quarter is known
    assert variance(None) == pytest.approx(100 / 9 * (0.04 / 25 * 0.75 + 0.0009))
    assert variance(0.0) == variance(None)
    assert variance(100.0) == pytest.approx(100 / 9 * (0.01 / 25 * 0.75 + 0.0009))


# -- the rules -------------------------------------------------------------------------------------


def chain() -> Fish:
    """Two batches, two sites, two stages, and fish that go on to another site unweighed."""
    fish = Fish()
    fish.stay(1, 1, 1, 5.0, 0.01)
    fish.grow(1, 10, total=1.0, last=0.6, stage=5)
    fish.growth.append(fish.growth[-1] | {"lifecycle_stage_id": 6, "growth": 0.4})
    fish.grow(1, 15, total=1.5, last=0.5)
    fish.grow(1, 25, total=2.5, last=1.0)
    fish.weigh(1, 10, 6.1)
    fish.weigh(1, 25, 7.4)
    fish.stay(2, 1, 2, 6.5, 0.0)
    fish.handovers.append(
        {"source_assignment_id": 1, "assignment_id": 2, "day": 15, "fish_share": 1.0}
    )
    # fish that arrive later have added 0.3 to the root: no growth
    fish.grow(2, 10, total=1.3, last=1.0)
    fish.weigh(2, 10, 7.9)
    fish.stay(3, 2, 2, 5.0, 0.01)
    fish.grow(3, 10, total=1.0, last=1.0)
    fish.weigh(3, 10, 6.3)
    return fish


def test_what_is_expected_is_linear_in_the_factors() -> None:
    design = make_design(chain().inputs(), SITE, 0.2)
    seen = innovations(design, 2e-5, 0.03)
    names = [
        (row["lifecycle_stage_id"], row["site_id"]) for row in design.columns.to_dict("records")
    ]
    assert names == [(5, 1), (6, 1), (6, 2)]
    offset = np.array([0.1, -0.2, 0.3])
    # the model grows fish by the same factors: also those that came to stay 2, since the weighing
    grown = replace(
        design,
        drift=design.drift + design.effect @ offset,
        start_root=design.start_root + design.start_effect @ offset,
    )
    assert innovations(grown, 2e-5, 0.03).expected_root == pytest.approx(
        seen.expected_root + seen.effect @ offset, abs=1e-12
    )
    # in order of stays: a change of stage by its share, the fish of stay 2 from day 10 to 15
    assert design.effect.tolist() == pytest.approx(
        np.array([[0.6, 0.4, 0], [0, 1.5, 0], [0, 0, 1.0], [0, 0, 1.0]])
    )
    assert design.start_effect.tolist() == pytest.approx(
        np.array([[0, 0, 0], [0, 0.5, 0], [0, 0, 0]])
    )


def test_factors_are_integrated_out_as_if_they_were_noise() -> None:
    """The likelihood is that of a normal distribution with everything unknown in its variance."""
    design = make_design(chain().inputs(), STAGE, 0.2)
    seen = innovations(design, 2e-5, 0.03)
    covariance = np.diag(seen.variance) + SPREAD.prior_sd**2 * seen.effect @ seen.effect.T
    same_batch = design.batches[:, None] == design.batches
    covariance += SPREAD.batch_sd**2 * same_batch * (seen.effect @ seen.effect.T)
    _, log_determinant = np.linalg.slogdet(covariance)
    misfit = seen.surprise @ np.linalg.solve(covariance, seen.surprise)
    assert log_likelihood(design, SPREAD, 2e-5, 0.03) == pytest.approx(
        -0.5 * (log_determinant + misfit)
    )


def test_a_batch_is_judged_by_what_the_others_tell() -> None:
    def expected(root: float) -> np.ndarray:
        fish = Fish()
        for key, batch, site, seen in ((1, 1, 1, root), (2, 2, 1, 6.3), (3, 3, 2, 6.1)):
            fish.stay(key, batch, site, 5.0, 0.001)
            fish.grow(key, 10, total=1.0, last=1.0)
            fish.weigh(key, 10, seen)
        by_site = make_design(fish.inputs(), SITE, 0.2)
        by_stage = make_design(fish.inputs(), STAGE, 0.2)
        return without_own_batch(
            by_site,
            innovations(by_site, 2e-5, 0.03),
            by_stage,
            innovations(by_stage, 2e-5, 0.03),
            SPREAD,
        )

    low, high = expected(5.5), expected(6.5)
    assert low[0] == high[0] > 6
    # the second has only the first at its site, the third nobody: what all sites say
    assert low[1] < 6 < high[1]
    assert low[2] < high[2]


def test_errors_are_of_the_weight_and_not_of_its_root() -> None:
    assert mean_error_pct(np.array([11.0, 9.0]), np.array([10.0, 10.0])) == pytest.approx(
        (33.1 + 27.1) / 2
    )
    assert mean_error_pct(np.array([-1.0]), np.array([10.0])) == 100


def test_fish_that_hardly_grow_do_not_get_a_factor_below_the_lowest() -> None:
    fish = Fish()
    for key in range(1, 5):
        fish.stay(key, key, 1, 10.0, 1e-12)
        fish.grow(key, 10, total=5.0, last=5.0)
        fish.weigh(key, 10, 8.0)
    assert calibrate(fish.inputs(), CONSTANTS).tgc["tgc_factor"].tolist() == [0.1, 0.1]


def test_a_container_whose_site_is_unknown_counts_for_all_sites_only() -> None:
    fish = one_pair()
    fish.stays[0] |= {"site_kind": None, "site_id": -1, "site_name": None}
    found = calibrate(fish.inputs(), CONSTANTS)
    assert found.tgc["site_kind"].tolist() == ["all"]


# -- on the demo farm ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def farm_url(built_demo: BuiltDemo, copy_database: Callable[[str], str]) -> str:
    return copy_database(built_demo.url)


@pytest.fixture
def farm(farm_url: str, use_database: Callable[[str], None]) -> Iterator[psycopg.Connection[Any]]:
    use_database(farm_url)
    with connect("prod", autocommit=True) as connection:
        yield connection


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["calibrate", *arguments, "--target", "prod"])


def test_the_filter_is_that_of_the_smoothed_series(farm: psycopg.Connection[Any]) -> None:
    built = CalibrationDatabase(farm, "prod").read()
    design = make_design(built.inputs, SITE, built.constants["default_weight_cv"])
    seen = innovations(design, built.constants["process_noise"], built.constants["sample_bias"])
    rows = farm.execute(
        "select assignment_id, prior_root, prior_variance + observed_root_variance, observed_root "
        "from anchorline_intermediate.int_weight_filter where observation_index > 0 "
        "order by assignment_id, observation_index"
    ).fetchall()
    assert len(rows) > 500
    ids, prior_root, variance, observed_root = map(np.array, zip(*rows, strict=True))
    assert np.array_equal(design.assignment_id[design.stay], ids)
    np.testing.assert_allclose(seen.expected_root, prior_root, rtol=1e-9)
    np.testing.assert_allclose(seen.variance, variance, rtol=1e-9)
    np.testing.assert_allclose(seen.observed_root, observed_root, rtol=1e-9)
    # growth and mixing are all of the drift
    assert (design.effect.sum(axis=1) <= design.drift + 1e-9).mean() > 0.9


def test_every_fit_is_kept_and_the_newest_counts(farm: psycopg.Connection[Any]) -> None:
    counts = "select count(*) from anchorline_ops.calibrations"
    assert farm.execute(counts).fetchone() == (0,)
    dry = run("--dry-run", "--json")
    assert dry.exit_code == 0, dry.output
    assert farm.execute(counts).fetchone() == (0,)
    printed = json.loads(dry.stdout)
    assert printed["calibration_id"] is None
    assert printed["process_noise_low"] < printed["process_noise"] < printed["process_noise_high"]

    first = run("--by", "Anna")
    assert first.exit_code == 0, first.output
    assert "Kept as calibration 1." in first.stderr
    assert "process noise" in first.stdout
    kept = farm.execute(
        "select calibrated_by, process_noise, anchor_pair_count, engine_version, as_of_date "
        "from anchorline_ops.calibrations"
    ).fetchone()
    assert kept is not None
    assert kept[0] == "Anna"
    assert kept[1] == pytest.approx(printed["process_noise"])
    assert kept[3:] == (engine_version(), pd.Timestamp(printed["as_of_date"]).date())

    farm.execute(
        "update anchorline_ops.calibrated_tgc set tgc_factor = 0.777 where site_kind = 'all'"
    )
    second = run()
    assert second.exit_code == 0, second.output
    assert "0.777" in second.stdout  # as what was before
    assert farm.execute(
        "select calibration_id, calibrated_by = session_user from anchorline_ops.calibrations "
        "order by 1"
    ).fetchall() == [(1, False), (2, True)]
    # one row per stage and site of the newest, none of it of an earlier one
    columns = ("lifecycle_stage_id", "site_kind", "site_id", "tgc_factor", "tgc_factor_variance")
    published = farm.execute(
        "select lifecycle_stage_id, site_kind, site_id, tgc_factor, tgc_factor_variance "
        "from anchorline_intermediate.int_calibrated_tgc"
    ).fetchall()
    assert sorted(published, key=str) == sorted(
        (tuple(row[name] for name in columns) for row in printed["tgc"]), key=str
    )


def test_who_may_not_keep_a_fit_is_told_so_and_may_look(
    farm: psycopg.Connection[Any],
    farm_url: str,
    server: EmbeddedServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with server.admin_connection() as admin:
        admin.execute("create role test_looker")
        admin.execute("grant test_looker to anchorline")
    layers = ("staging", "intermediate", "marts", "seeds", "ops")
    try:
        for layer in layers:
            farm.execute(f"grant usage on schema anchorline_{layer} to test_looker")
            farm.execute(f"grant select on all tables in schema anchorline_{layer} to test_looker")
        monkeypatch.setenv("PGOPTIONS", "-c role=test_looker")
        refused = run()
        assert refused.exit_code == 1
        assert "may not keep a calibration" in refused.stderr
        assert "docs/roles.md" in refused.stderr
        assert run("--dry-run").exit_code == 0
        farm.execute("revoke usage on schema anchorline_intermediate from test_looker")
        refused = run("--dry-run")
        assert refused.exit_code == 1
        assert "may not read" in refused.stderr
    finally:
        monkeypatch.delenv("PGOPTIONS")
        farm.execute("drop owned by test_looker")
        with server.admin_connection() as admin:
            admin.execute("drop role test_looker")


def test_a_database_without_marts_is_told_to_build(
    make_database: Callable[[], str], use_database: Callable[[str], None]
) -> None:
    use_database(make_database())
    for arguments in ((), ("--dry-run",)):
        refused = run(*arguments)
        assert refused.exit_code == 1
        assert "dbt build" in refused.stderr
        assert "Traceback" not in refused.stderr


def test_marts_without_anchors_have_nothing_to_fit_to(
    farm: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    read = CalibrationDatabase.read

    def without_anchors(self: CalibrationDatabase) -> BuiltFarm:
        built = read(self)
        nothing = built.inputs.measurements.iloc[:0]
        return replace(built, inputs=replace(built.inputs, measurements=nothing))

    monkeypatch.setattr(CalibrationDatabase, "read", without_anchors)
    refused = run("--dry-run")
    assert refused.exit_code == 1
    assert "no anchor lies on a day with a state" in refused.stderr
