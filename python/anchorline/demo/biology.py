"""What the true fish are like: stages, growth, mortality, feed, and the water they live in.

Numbers here make a plausible farm, nothing more. They are not the model's parameters: the
scenarios of the demo farm carry nominal values, from which each batch differs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

EGG_WEIGHT_G: Final = 0.1
FIRST_FED_STAGE: Final = 1
"""The first stage that is fed (fry): eggs and alevins live on their yolk."""

WEIGHT_CV: Final = 0.20
"""Spread of weights among the fish of one container: standard deviation / mean."""

REPRESENTATIVENESS_SD: Final = 0.03
"""How far the mean of those that can be netted lies from that of all, relative to weight."""

TRANSFER_LOSS_SHARE: Final = 0.001
"""Share of the fish that die while they are pumped."""

HARVEST_SHORTFALL_SHARE: Final = 0.002
"""Share of a pen's fish that its harvest lots do not account for."""

FULTON_K: Final = 1.2
"""Condition factor 100 W / L^3 of a healthy salmon, with W in g and L in cm."""


@dataclass(frozen=True)
class Stage:
    """A life stage: range of weights [g], water [°C] and what befalls a fish in it."""

    stage_id: int
    name: str
    min_weight_g: float
    max_weight_g: float
    tgc: float
    """Thermal growth coefficient [1000 g^(1/3) / (°C day)], of an average batch."""
    daily_mortality_percent: float
    fcr: float
    """Feed per gain of living weight [kg / kg]."""
    fresh_water_c: float | None
    """Yearly mean of the water [°C] in a freshwater hall; null at sea."""
    container_type_id: int
    volume_m3: float
    max_biomass_kg: float


STAGES: Final = (
    Stage(1, "Egg&Alevin", 0.05, 0.50, 0.48, 0.150, 0.0, 7.5, 1, 10, 500),
    Stage(2, "Fry", 0.50, 6.00, 0.93, 0.050, 0.95, 12.0, 2, 100, 5_000),
    Stage(3, "Parr", 6.00, 60.00, 1.83, 0.030, 1.00, 12.5, 3, 500, 40_000),
    Stage(4, "Smolt", 60.00, 180.00, 1.69, 0.020, 1.05, 11.5, 4, 1_000, 80_000),
    Stage(5, "Post-Smolt", 180.00, 500.00, 2.32, 0.020, 1.10, 11.0, 5, 2_000, 160_000),
    Stage(6, "Adult", 500.00, 7000.00, 2.45, 0.018, 1.15, None, 6, 50_000, 1_200_000),
)

EGG, FRY, PARR, SMOLT, POST_SMOLT, ADULT = range(6)
STAGE_DAYS: Final = 90
"""Days of each freshwater stage; the sea phase lasts until harvest."""

SEA_START_DAY: Final = 5 * STAGE_DAYS
HARVEST_START_DAY: Final = 862
HARVEST_DAYS: Final = 40
"""The pens of a batch are harvested one after another over this many days."""

LIFE_DAYS: Final = 900


def seasonal_temp_c(mean_c: float, amplitude_c: float, days_of_year: Floats) -> Floats:
    """Return the water's temperature [°C] on days of the year: a cosine, warmest on 25 August.

    T = mean + amplitude * cos(2 pi (day - 237) / 365.25), with `mean_c` and `amplitude_c` in
    °C and `days_of_year` in days (any shape, any real number).
    """
    return mean_c + amplitude_c * np.cos(2.0 * np.pi * (days_of_year - 237.0) / 365.25)


def autocorrelated_noise(
    rng: np.random.Generator, rows: int, days: int, *, correlation: float, sd: float
) -> Floats:
    """Return noise of mean 0 and standard deviation `sd`, one series of days per row.

    x(d) = correlation * x(d-1) + e(d), stationary from the first day; `sd` carries the unit,
    0 <= `correlation` < 1 is that of one day with the next. Shape (rows, days).
    """
    noise = rng.normal(0.0, sd, (rows, days))
    innovation = (1.0 - correlation**2) ** 0.5
    for day in range(1, days):
        noise[:, day] = correlation * noise[:, day - 1] + innovation * noise[:, day]
    return noise


def grown_weight_g(weight_g: Floats, tgc: Floats, temp_c: Floats) -> Floats:
    """Return the weight [g] after one day: (W^(1/3) + TGC / 1000 * max(T, 0))^3.

    `weight_g` in g (> 0), `tgc` in 1000 g^(1/3) / (°C day), `temp_c` in °C, all of one shape.
    Iwama & Tautz 1981, doi:10.1139/f81-087.
    """
    grown: Floats = (np.cbrt(weight_g) + tgc / 1000.0 * np.maximum(temp_c, 0.0)) ** 3
    return grown


def length_cm(weight_g: Floats, condition_factor: Floats) -> Floats:
    """Return the length [cm] of fish of `weight_g` [g] by Fulton's K = 100 W / L^3."""
    return np.cbrt(100.0 * weight_g / condition_factor)
