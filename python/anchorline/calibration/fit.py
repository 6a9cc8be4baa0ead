"""The fit: factors of growth by stage and site, and the noise of the smoothed series.

Every observation of the filter is expected with a variance S, and what was expected is linear in
the factors f: `y - m- = c (f - 1) + e, e ~ N(0, S)`, the e independent of each other. So the
factors are the least squares of the surprises with the weights 1/S. Of two observations with
nothing known before them S is `R_1 + R_2 + q s`; of longer series the filter knows that two
segments share the observation between them. The factors of a batch are those of its sites, give
or take a normal `batch_sd`; and a normal prior `f ~ N(1, prior_sd^2)` draws the sites to the model
where little is measured.

Process noise q and sample bias b are those under which the surprises are most likely, whatever
the factors are: these are integrated out. So a TGC that is wrong does not pass
for noise. Intervals are those of the profile likelihood (Wilks 1938, Ann. Math. Statist. 9:60-62,
doi:10.1214/aoms/1177732360), and end at 0, or nowhere, where the data do not bound them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from scipy.optimize import brentq, minimize, minimize_scalar

from anchorline.calibration.design import SITE, STAGE, Design, Inputs, make_design
from anchorline.calibration.innovations import Innovations, innovations
from anchorline.reference.tables import IntArray, RealArray, ints, positions

BAND_WIDTH: Final = 1.959964
"""Standard deviations to each side that hold 95 % of a normal distribution."""

LIKELIHOOD_DROP: Final = 1.920729
"""By how much the log-likelihood falls to the ends of a 95 % interval: half of chi-square(1)."""

NOISE_BOUNDS: Final = ((1e-8, 1e-2), (1e-4, 0.5))
"""Where q [g^(2/3) per °C d] and b [share] are looked for: far beyond what fish can show."""


@dataclass(frozen=True)
class Estimate:
    """A value and its 95 % interval; `low` is 0 and `high` NaN where the data do not bound it."""

    value: float
    low: float
    high: float

    @property
    def is_weak(self) -> bool:
        """Whether the interval is open, or spans more than a factor of ten."""
        return not (self.low > 0 and self.high <= 10 * self.low)


@dataclass(frozen=True)
class Noise:
    """Process noise q [g^(2/3) per °C d] and sample bias b [share]."""

    process_noise: Estimate
    sample_bias: Estimate


@dataclass(frozen=True)
class Spread:
    """How far factors of growth may be from 1: the seed `calibration_constants`.

    ``prior_sd``: of sites, before anything is measured; ``batch_sd``: of the batches of a site;
    ``lowest_factor``: none is below it.
    """

    prior_sd: float
    batch_sd: float
    lowest_factor: float

    @classmethod
    def of(cls, constants: Mapping[str, float]) -> Spread:
        """Take it from the seed."""
        return cls(
            prior_sd=constants["tgc_factor_sd"],
            batch_sd=constants["tgc_batch_sd"],
            lowest_factor=constants["lowest_tgc_factor"],
        )


@dataclass(frozen=True)
class Calibration:
    """All that a fit has found.

    ``tgc`` has a row per stage and site, and per stage over all sites (`site_kind` `all`), with the
    columns of the table `calibrated_tgc`. ``noise`` is None where there are too few measurements.
    Errors are means of `100 |expected - measured| / measured`, one measurement ahead: before with
    the factors 1 and the constants of the seed, after with those fitted; where there are
    several batches, to the other ones alone.
    """

    pair_count: int
    batch_count: int
    noise: Noise | None
    error_before_pct: float
    error_after_pct: float
    tgc: pd.DataFrame


@dataclass(frozen=True)
class Information:
    """What some surprises say of K factors, with `o = f - 1`.

    Their log-likelihood is `log_likelihood + h' o - 1/2 o' A o`, save for a constant, with
    ``matrix`` `A = C' S^-1 C` and ``vector`` `h = C' S^-1 v`.
    """

    matrix: RealArray
    vector: RealArray
    log_likelihood: float

    @classmethod
    def of(cls, seen: Innovations, rows: IntArray, columns: IntArray) -> Information:
        """Take it from some nodes, which tell of some columns only: the other factors have none."""
        effect = seen.effect[np.ix_(rows, columns)]
        variance, surprise = seen.variance[rows], seen.surprise[rows]
        weighted = effect / variance[:, None]
        misfit = np.sum(np.log(variance) + surprise**2 / variance)
        return cls(weighted.T @ effect, weighted.T @ surprise, float(-0.5 * misfit))

    def blurred(self, sd: float) -> Information:
        """Return what they say of the mean, where theirs are `N(o, sd^2)`, each by itself.

        `M = I + sd^2 A; A = M^-1 A; h = M^-1 h; log L - 1/2 (log det M - sd^2 h' M^-1 h)`.
        """
        spread = np.eye(len(self.vector)) + sd**2 * self.matrix
        matrix = np.asarray(np.linalg.solve(spread, self.matrix), dtype=np.float64)
        vector = np.asarray(np.linalg.solve(spread, self.vector), dtype=np.float64)
        _, log_determinant = np.linalg.slogdet(spread)
        gained = log_determinant - sd**2 * self.vector @ vector
        return Information(
            (matrix + matrix.T) / 2.0, vector, self.log_likelihood - 0.5 * float(gained)
        )

    def among(self, columns: IntArray, count: int) -> Information:
        """Return the same of more factors, of which the others are not told of."""
        matrix, vector = np.zeros((count, count)), np.zeros(count)
        matrix[np.ix_(columns, columns)] = self.matrix
        vector[columns] = self.vector
        return Information(matrix, vector, self.log_likelihood)

    def __add__(self, other: Information) -> Information:
        """Return what both say together."""
        return Information(
            self.matrix + other.matrix,
            self.vector + other.vector,
            self.log_likelihood + other.log_likelihood,
        )

    def posterior(self, prior_sd: float) -> tuple[RealArray, RealArray]:
        """Return mean and covariance of `f - 1` with the prior `N(0, prior_sd^2)`."""
        precision = self.matrix + np.eye(len(self.vector)) / prior_sd**2
        covariance = np.linalg.inv(precision)
        return np.asarray(covariance @ self.vector), np.asarray(covariance)


def total(parts: Sequence[Information], count: int) -> Information:
    """Return what all parts say together of so many factors; of no part, nothing."""
    nothing = Information(np.zeros((count, count)), np.zeros(count), 0.0)
    return sum(parts, start=nothing)


def by_batch(design: Design, seen: Innovations, batch_sd: float) -> list[Information]:
    """Return what each batch says of the factors, in the order of `np.unique(design.batches)`.

    A batch grows as its site and stage do, give or take `batch_sd`: what all of its fish have in
    common is seen once, however often they are weighed.
    """
    count = len(design.columns)
    parts = []
    for batch in np.unique(design.batches):
        rows = np.flatnonzero(design.batches == batch)
        columns = np.flatnonzero((seen.effect[rows] != 0).any(axis=0))
        own = Information.of(seen, rows, columns).blurred(batch_sd)
        parts.append(own.among(columns, count))
    return parts


def calibrate(
    inputs: Inputs, constants: Mapping[str, float], tell: Callable[[str], None] = lambda text: None
) -> Calibration:
    """Fit growth and noise to the anchors of a farm.

    Parameters
    ----------
    inputs : Inputs
        Frames of the farm.
    constants : mapping
        The seeds `smoothing_constants` and `calibration_constants`.
    tell : function
        Is told what is being done.

    Returns
    -------
    Calibration
        Without a measurement: no rows, no noise, errors NaN.

    """
    cv, spread = constants["default_weight_cv"], Spread.of(constants)
    by_site = make_design(inputs, SITE, cv)
    by_stage = make_design(inputs, STAGE, cv)
    pair_count = len(by_site.stay)
    seed = constants["process_noise"], constants["sample_bias"]
    noise = None
    if pair_count >= constants["minimum_pair_count"]:
        tell(f"Fitting process noise and sample bias to {pair_count:,} measurements")
        noise = fit_noise(by_site, spread, seed)
    fitted = (noise.process_noise.value, noise.sample_bias.value) if noise else seed
    tell(f"Fitting {len(by_site.columns)} factors of growth")
    seen, of_stage = innovations(by_site, *fitted), innovations(by_stage, *fitted)
    roots = without_own_batch(by_site, seen, by_stage, of_stage, spread)
    before = innovations(by_site, *seed)
    return Calibration(
        pair_count=pair_count,
        batch_count=len(np.unique(by_site.batches)),
        noise=noise,
        error_before_pct=mean_error_pct(before.expected_root, before.observed_root),
        error_after_pct=mean_error_pct(roots, seen.observed_root),
        tgc=_tgc(
            growth_factors(by_site, seen, spread),
            growth_factors(by_stage, of_stage, spread),
            spread,
        ),
    )


# -- the noise -------------------------------------------------------------------------------------


def log_likelihood(
    design: Design, spread: Spread, process_noise: float, sample_bias: float
) -> float:
    """Return how likely the surprises are, save for a constant, with the factors integrated out."""
    seen = innovations(design, process_noise, sample_bias)
    known = total(by_batch(design, seen, spread.batch_sd), len(design.columns))
    return known.blurred(spread.prior_sd).log_likelihood


def fit_noise(design: Design, spread: Spread, start: tuple[float, float]) -> Noise:
    """Return the most likely process noise and sample bias, with profile-likelihood intervals.

    Both are looked for on a logarithmic scale, from `start` on.
    """
    bounds = [(float(np.log(low)), float(np.log(high))) for low, high in NOISE_BOUNDS]

    def loss(logs: RealArray) -> float:
        return -log_likelihood(design, spread, *map(float, np.exp(logs)))

    found = minimize(
        loss,
        np.clip(np.log(start), *np.transpose(bounds)),
        method="Nelder-Mead",
        bounds=bounds,
        options={"xatol": 1e-3, "fatol": 1e-4},
    )
    best = np.asarray(found.x, dtype=np.float64)

    def estimate(which: int) -> Estimate:
        other = 1 - which

        def margin(log_value: float) -> float:
            """How far the profile is above the ends of the interval."""

            def along(log_other: float) -> float:
                logs = np.empty(2)
                logs[which], logs[other] = log_value, log_other
                return loss(logs)

            best_loss = minimize_scalar(
                along, bounds=bounds[other], method="bounded", options={"xatol": 1e-2}
            ).fun
            return float(found.fun) + LIKELIHOOD_DROP - float(best_loss)

        low, high = bounds[which]
        value = float(best[which])
        return Estimate(
            value=float(np.exp(value)),
            low=_end(margin, value, low, 0.0),
            high=_end(margin, value, high, float("nan")),
        )

    return Noise(estimate(0), estimate(1))


def _end(margin: Callable[[float], float], best: float, bound: float, unbounded: float) -> float:
    """Return the value between the best one and a bound at which the margin is used up."""
    if best == bound or margin(bound) >= 0:
        return unbounded
    return float(np.exp(brentq(margin, best, bound, xtol=1e-2)))


# -- the factors -----------------------------------------------------------------------------------


def growth_factors(design: Design, seen: Innovations, spread: Spread) -> pd.DataFrame:
    """Return the factor of each column of a design.

    Its columns, and: factor; factor_variance, of what a site's fish grow in the mean;
    fitted_factor, what the measurements say without the prior, the other factors being what they
    are; tgc_model, the mean of the models' TGC by degree-days [1000 g^(1/3) per °C d]; pair_count,
    measurements since the one before which the model has grown fish there. Only what a
    measurement says something of.
    """
    known = total(by_batch(design, seen, spread.batch_sd), len(design.columns))
    offset, covariance = known.posterior(spread.prior_sd)
    own = np.diag(known.matrix)
    others = known.matrix @ offset - own * offset
    grown, warmth = design.effect.sum(axis=0), design.factor_degree_days.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        fitted = 1.0 + (known.vector - others) / own
        tgc_model = 1000.0 * grown / warmth
    factors: pd.DataFrame = design.columns.assign(
        factor=np.maximum(1.0 + offset, spread.lowest_factor),
        factor_variance=np.diag(covariance),
        fitted_factor=fitted,
        tgc_model=tgc_model,
        pair_count=(design.effect > 0).sum(axis=0),
    )
    told: pd.DataFrame = factors[(own > 0) & (warmth > 0)]
    return told


def without_own_batch(
    by_site: Design, seen: Innovations, by_stage: Design, of_stage: Innovations, spread: Spread
) -> RealArray:
    """Return what is expected of each node with the factors that other batches tell [g^(1/3)].

    At a site where no other batch has grown in the stage, the factor over all sites counts. Of a
    single batch the factors are its own.
    """
    batches = np.unique(by_site.batches)
    site_parts = by_batch(by_site, seen, spread.batch_sd)
    stage_parts = by_batch(by_stage, of_stage, spread.batch_sd)
    stage_at = positions(
        ints(by_site.columns, "lifecycle_stage_id"), ints(by_stage.columns, "lifecycle_stage_id")
    )

    def offsets(parts: list[Information], left_out: int, design: Design) -> RealArray:
        others = [part for at, part in enumerate(parts) if at != left_out or len(parts) == 1]
        return total(others, len(design.columns)).posterior(spread.prior_sd)[0]

    roots = seen.expected_root.copy()
    for at, batch in enumerate(batches):
        is_own = by_site.batches == batch
        is_known = (by_site.effect[~is_own] > 0).any(axis=0) | (len(batches) == 1)
        offset = np.where(
            is_known,
            offsets(site_parts, at, by_site),
            offsets(stage_parts, at, by_stage)[stage_at],
        )
        roots[is_own] += seen.effect[is_own] @ offset
    return roots


def mean_error_pct(expected_root: RealArray, observed_root: RealArray) -> float:
    """Return the mean of `100 |expected - measured| / measured` of the weights [%]; NaN of none."""
    if not len(observed_root):
        return float("nan")
    ratio = (np.maximum(expected_root, 0.0) / observed_root) ** 3
    return float(np.mean(100.0 * np.abs(ratio - 1.0)))


def _tgc(by_site: pd.DataFrame, by_stage: pd.DataFrame, spread: Spread) -> pd.DataFrame:
    """Return the rows of the table `calibrated_tgc`, without those of an unknown site.

    Its interval is that of the site. The variance is that of a batch there, which is what a
    forecast is made of.
    """
    sites = by_site[by_site["site_kind"].notna()]
    stages = by_stage.assign(site_kind="all", site_id=None, site_name=None)
    factors = pd.concat([sites.astype({"site_id": object}), stages], ignore_index=True)
    reach = BAND_WIDTH * np.sqrt(factors["factor_variance"])
    model = factors["tgc_model"]
    rows = pd.DataFrame(
        {
            "lifecycle_stage_id": factors["lifecycle_stage_id"],
            "site_kind": factors["site_kind"],
            "site_id": factors["site_id"],
            "site_name": factors["site_name"],
            "tgc_model": model,
            "tgc_fitted": factors["fitted_factor"] * model,
            "tgc": factors["factor"] * model,
            "tgc_low": (factors["factor"] - reach).clip(lower=0.0) * model,
            "tgc_high": (factors["factor"] + reach) * model,
            "tgc_factor": factors["factor"],
            "tgc_factor_variance": factors["factor_variance"] + spread.batch_sd**2,
            "anchor_pair_count": factors["pair_count"],
        }
    )
    return rows.sort_values(["lifecycle_stage_id", "site_kind", "site_id"], ignore_index=True)
