"""The equations of one day, computed again from their inputs and compared with what is stored.

Pure functions. Each equation carries its symbols, the same with the numbers filled in, what
comes out, and what the database holds. Names of quantities are those of the models' columns.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from anchorline.explain.facts import Departure, MeasuredDay, Measurement, Movement, StateDay

RELATIVE_TOLERANCE: Final = 1e-9
"""How far two unrounded doubles may be apart, relative to their size."""

WHOLE_FISH: Final = 1e-9
"""Added before rounding down, so that 11.999999999 expected deaths are 12."""


@dataclass(frozen=True)
class Equation:
    """One equation: what it finds, how, and whether it finds what is stored."""

    name: str
    symbols: str
    filled: str
    result: float | int | str | None
    stored: float | int | str | None
    unit: str
    decimals: int | None
    """Decimals of the stored value; None: unrounded."""
    where: str
    """Where that stands: "published" in the marts, or "stored" unrounded by the engine."""
    is_detail: bool = False
    """Shown only where it disagrees."""

    @property
    def agrees(self) -> bool:
        """Whether the result is the stored value, within its rounding."""
        return is_same(self.result, self.stored, self.decimals)


def is_same(
    result: float | int | str | None, stored: float | int | str | None, decimals: int | None
) -> bool:
    """Whether two values are the same: exactly, or within one unit of the last decimal."""
    if result is None or stored is None or isinstance(result, str) or isinstance(stored, str):
        return result == stored
    if isinstance(result, int) and isinstance(stored, int):
        return result == stored
    if decimals is None:
        return math.isclose(result, stored, rel_tol=RELATIVE_TOLERANCE, abs_tol=1e-12)
    return abs(result - stored) <= 10.0**-decimals * (1 + 1e-6)


def grown_weight_g(
    weight_g: float,
    temp_c: float | None,
    tgc: float,
    exponent_n: float | None,
    exponent_m: float | None,
    growth_formula: str,
) -> float:
    """Grow a mean weight by one day.

    weight_g [g] > 0; temp_c [°C], None or <= 0: no growth; tgc [1000 g^(1/3) per °C and day] for
    `cube_root`: (W^(1/3) + TGC/1000 * T)^3; for `power_law`: W + TGC * T^n * W^m, coefficient and
    exponents as fitted. (Iwama & Tautz 1981, Can. J. Fish. Aquat. Sci. 38:649-656.)
    """
    if temp_c is None or temp_c <= 0 or tgc <= 0:
        return weight_g
    if growth_formula == "power_law":
        if exponent_n is None or exponent_m is None:
            raise ValueError(f"power_law needs both exponents; n is {exponent_n}, m {exponent_m}.")
        return float(weight_g + tgc * temp_c**exponent_n * weight_g**exponent_m)
    return float((math.cbrt(weight_g) + tgc / 1000 * temp_c) ** 3)


def staying_weight_g(
    measured_g: float,
    moved_count: int,
    count_before: int | None,
    mean_weight_factor: float,
    min_staying_share: float,
) -> tuple[float, bool]:
    """Return the mean weight [g] of fish that stay after a weighed transfer, and if it is derived.

    measured_g [g] is the mean of the moved fish, M = measured_g * mean_weight_factor that of all
    fish before. After a selection (factor other than 1) those that stay weigh
    (N_before * M - n * w) / (N_before - n), where at least min_staying_share of them stay; else M.
    """
    mean_g = measured_g * mean_weight_factor
    if mean_weight_factor == 1 or count_before is None or count_before < 0:
        return mean_g, False
    staying = count_before - moved_count
    if staying <= 0 or staying < min_staying_share * count_before:
        return mean_g, False
    return (count_before * mean_g - moved_count * measured_g) / staying, True


def whole_shares(amount: int, weights: Sequence[tuple[int, int]]) -> dict[int, int]:
    """Divide an amount into whole numbers by weight: largest remainder, ties to the lowest id.

    weights: (id, weight >= 0) pairs; returns the share by id, nothing where all weights are 0.
    """
    total = sum(weight for _, weight in weights)
    if total <= 0:
        return {}
    shares = {number: amount * weight // total for number, weight in weights}
    left = amount - sum(shares.values())
    by_remainder = sorted(weights, key=lambda entry: (-(amount * entry[1] % total), entry[0]))
    for number, _ in by_remainder[:left]:
        shares[number] += 1
    return shares


def day_equations(day: StateDay) -> list[Equation]:
    """Return all equations of a day with a state, in the order of the model."""
    return [
        *_parameter_equations(day),
        *_temperature_equations(day),
        *_death_equations(day),
        *_number_equations(day),
        *_weight_equations(day),
        *_measure_equations(day),
        *_confidence_equations(day),
    ]


def departure_equations(departure: Departure) -> list[Equation]:
    """Return the equations of a departure day: what left, against the last day's number."""
    reconciled, before = departure.reconciliation, departure.before
    if reconciled is None or before is None:
        return []
    kinds = (
        ("transfer", "Transferred", reconciled.transferred_count),
        ("inferred", "Moved without a record", reconciled.inferred_count),
        ("transfer_mortality", "Died in transfers", reconciled.transfer_mortality_count),
        ("harvest", "Harvested", reconciled.harvested_count),
    )
    equations = []
    left = departure.death_count
    terms = []
    for kind, name, stored in kinds:
        counts = [m.fish_count for m in departure.movements if m.movement_type == kind]
        left += sum(counts)
        terms.append(f"{sum(counts):,} {name.lower()}")
        equations.append(
            Equation(name, "sum", _sum(counts), sum(counts), stored, "fish", 0, "published", True)
        )
    terms.append(f"{departure.death_count:,} died")
    equations += [
        Equation(
            "Died that day",
            "sum of records",
            f"{departure.death_count:,}",
            departure.death_count,
            reconciled.mortality_count,
            "fish",
            0,
            "published",
            True,
        ),
        Equation(
            "Left",
            "transferred + inferred + died on the way + harvested + died",
            " + ".join(terms),
            left,
            reconciled.left_count,
            "fish",
            0,
            "published",
        ),
        Equation(
            "Count adjustment",
            "left - N of the last day",
            f"{left:,} - {before.population:,}",
            left - before.population,
            reconciled.count_adjustment,
            "fish",
            0,
            "published",
        ),
    ]
    return equations


def _parameter_equations(day: StateDay) -> Iterator[Equation]:
    parameters = day.parameters
    is_scaled = (
        day.rules.growth_formula == "cube_root"
        and parameters.stored_tgc < parameters.prescaled_tgc_limit
    )
    factor = 1000 if is_scaled else 1
    yield Equation(
        "TGC",
        "stored per degree-day x 1000" if is_scaled else "as stored",
        f"{parameters.stored_tgc:g} x 1000" if is_scaled else f"{parameters.stored_tgc:g}",
        parameters.stored_tgc * factor,
        parameters.tgc,
        "",
        None,
        "stored",
        not is_scaled or parameters.stored_tgc == 0,
    )
    rate = parameters.stored_rate_percent / 100
    daily = 1 - (1 - rate) ** (1 / 7) if parameters.is_rate_weekly else rate
    yield Equation(
        "Daily mortality rate",
        "1 - (1 - weekly rate)^(1/7)" if parameters.is_rate_weekly else "as stored",
        f"1 - (1 - {parameters.stored_rate_percent:g} %)^(1/7)"
        if parameters.is_rate_weekly
        else f"{parameters.stored_rate_percent:g} %",
        100 * daily,
        100 * parameters.daily_mortality_rate,
        "% a day",
        None,
        "stored",
        day.deaths.mortality_source != "model" or not parameters.is_rate_weekly,
    )


def _temperature_equations(day: StateDay) -> Iterator[Equation]:
    temperature = day.temperature
    found, filled, symbols = temperature_of(
        temperature.temp_source, temperature.days, day.state_date, temperature.profile_day
    )
    yield Equation(
        "Temperature", symbols, filled, found, temperature.temp_c, "°C", None, "stored",
        temperature.temp_source not in ("interpolated", "profile"),
    )  # fmt: skip
    yield Equation(
        "Temperature", "rounded", "", temperature.temp_c, day.published.temp_c, "°C", 2,
        "published", True,
    )  # fmt: skip


def temperature_of(
    temp_source: str, days: Sequence[MeasuredDay], on: date, profile_day: int | None
) -> tuple[float | None, str, str]:
    """Find a temperature from the days around it; also the filled equation and its symbols.

    Linear between two days around `on` (or around `profile_day` of a profile), else that of
    the one day there is.
    """
    if temp_source == "none" or not days:
        return None, "no temperature", "none"
    if len(days) == 1:
        return days[0].temp_c, f"{days[0].temp_c:.4f}", "that of the one day"
    first, second = days[0], days[1]
    gap, step = _distance(first.day, second.day), _distance(first.day, profile_day or on)
    value = first.temp_c + (second.temp_c - first.temp_c) * step / gap
    filled = (
        f"{first.temp_c:.4f} + ({second.temp_c:.4f} - {first.temp_c:.4f}) x {step} / {gap} days"
    )
    return value, filled, "T1 + (T2 - T1) x days since / days between"


def _distance(start: date | int, end: date | int) -> int:
    if isinstance(start, date) and isinstance(end, date):
        return (end - start).days
    if isinstance(start, int) and isinstance(end, int):
        return end - start
    raise TypeError(f"{start!r} and {end!r} are not days of one kind.")


def _death_equations(day: StateDay) -> Iterator[Equation]:
    deaths, engine, before = day.deaths, day.engine, day.before
    own = [
        record.death_count or 0
        for record in deaths.records
        if record.is_used and not record.is_for_batch
    ]
    of_batch = [
        record.death_count or 0
        for record in deaths.records
        if record.is_used and record.is_for_batch
    ]
    own_count = sum(own) if own else None
    batch_count = sum(of_batch) if of_batch else None
    yield Equation(
        "Deaths recorded", "sum of records", _sum(own), own_count, deaths.recorded_deaths,
        "fish", 0, "stored", len(own) < 2,
    )  # fmt: skip
    yield Equation(
        "Deaths of the batch", "sum of records", _sum(of_batch), batch_count,
        deaths.batch_deaths, "fish", 0, "stored", len(of_batch) < 2,
    )  # fmt: skip

    has_no_fish = deaths.batch_start_count == 0 and bool(own_count)
    counted_own = None if has_no_fish else own_count
    share = None
    if batch_count is not None:
        share = whole_shares(batch_count, deaths.present_counts).get(day.stay.assignment_id)
    if share is not None and batch_count is not None:
        total = sum(count for _, count in deaths.present_counts)
        present = dict(deaths.present_counts)[day.stay.assignment_id]
        prefix = f"{counted_own:,} own + " if counted_own is not None else ""
        exact = batch_count * present / total
        yield Equation(
            "Deaths",
            "own records + batch's x fish here / fish of the batch",
            f"{prefix}{batch_count:,} x {present:,} / {total:,} = {exact:.4f}, in whole fish",
            (counted_own or 0) + share,
            day.published.mortality_count,
            "fish",
            0,
            "published",
        )
        yield _carry_unchanged(day)
    elif counted_own is not None:
        yield Equation(
            "Deaths", "own records", _sum(own), counted_own, day.published.mortality_count,
            "fish", 0, "published", True,
        )  # fmt: skip
        yield _carry_unchanged(day)
    elif day.rules.missing_mortality == "zero":
        yield Equation(
            "Deaths", "no record: none", "0", 0, day.published.mortality_count, "fish", 0,
            "published",
        )  # fmt: skip
        yield _carry_unchanged(day)
    else:
        rate = day.parameters.daily_mortality_rate
        expected = engine.stayed_count * rate + before.mortality_carry
        died = math.floor(expected + WHOLE_FISH)
        yield Equation(
            "Deaths",
            "expected = fish that stay x rate + carried; whole fish die",
            f"{engine.stayed_count:,} x {100 * rate:.6g} % + {before.mortality_carry:.4f} "
            f"= {expected:.4f}, in whole fish",
            died,
            day.published.mortality_count,
            "fish",
            0,
            "published",
        )
        yield Equation(
            "Carried on",
            "expected - died",
            f"{expected:.4f} - {died:,}",
            expected - died,
            engine.mortality_carry,
            "fish",
            None,
            "stored",
        )


def _carry_unchanged(day: StateDay) -> Equation:
    carry = day.before.mortality_carry
    return Equation(
        "Carried on", "unchanged on a recorded day", f"{carry:.4f}", carry,
        day.engine.mortality_carry, "fish", None, "stored", True,
    )  # fmt: skip


def _number_equations(day: StateDay) -> Iterator[Equation]:
    published, before = day.published, day.before
    arrived_counts = [m.fish_count for m in day.movements if m.direction == "in"]
    departed_counts = [m.fish_count for m in day.movements if m.direction == "out"]
    arrived, departed = sum(arrived_counts), sum(departed_counts)
    died = published.mortality_count
    yield Equation(
        "Arrived", "sum of arrivals", _sum(arrived_counts), arrived, published.arrived_count,
        "fish", 0, "published", len(arrived_counts) < 2,
    )  # fmt: skip
    yield Equation(
        "Departed", "sum of departures", _sum(departed_counts), departed,
        published.departed_count, "fish", 0, "published", len(departed_counts) < 2,
    )  # fmt: skip
    adjustment = max(0, departed + died - before.population - arrived)
    yield Equation(
        "Count adjustment",
        "max(0, departed + died - N(d-1) - arrived)",
        f"max(0, {departed:,} + {died:,} - {before.population:,} - {arrived:,})",
        adjustment,
        published.count_adjustment,
        "fish",
        0,
        "published",
        adjustment == 0,
    )
    yield Equation(
        "Number",
        "N(d-1) + arrived - departed - died + adjustment",
        f"{before.population:,} + {arrived:,} - {departed:,} - {died:,} + {adjustment:,}",
        before.population + arrived - departed - died + adjustment,
        published.population,
        "fish",
        0,
        "published",
    )


def _weight_equations(day: StateDay) -> Iterator[Equation]:
    before, engine, parameters = day.before, day.engine, day.parameters
    arrivals = [movement for movement in day.movements if movement.direction == "in"]
    departed = sum(m.fish_count for m in day.movements if m.direction == "out")
    stayed = max(0, before.population - departed)
    yield Equation(
        "Fish that stay", "max(0, N(d-1) - departed)",
        f"max(0, {before.population:,} - {departed:,})", stayed, engine.stayed_count,
        "fish", 0, "stored", not (arrivals and departed),
    )  # fmt: skip
    mixed = mixed_weight_g(stayed, before.weight_g, arrivals)
    terms = [f"{stayed:,} x {before.weight_g:,.4f}"] if stayed else []
    terms += [f"{m.fish_count:,} x {m.weight_g or 0:,.4f}" for m in arrivals]
    count = stayed + sum(m.fish_count for m in arrivals)
    yield Equation(
        "Mixed weight W*",
        "(stay x W(d-1) + sum of n x w) / (stay + arrived)" if arrivals else "W(d-1)",
        f"({' + '.join(terms)}) / {count:,}" if arrivals else f"{before.weight_g:,.4f}",
        mixed,
        engine.mixed_weight_g,
        "g",
        None,
        "stored",
        not arrivals,
    )
    temp_c = day.temperature.temp_c
    formula = day.rules.growth_formula
    grown = grown_weight_g(
        mixed, temp_c, parameters.tgc, parameters.exponent_n, parameters.exponent_m, formula
    )
    capped = grown
    if parameters.cap_weight_g is not None:
        capped = max(mixed, min(grown, parameters.cap_weight_g))
    symbols, filled = _growth_text(day, mixed)
    if parameters.cap_weight_g is not None:
        symbols = f"max(W*, min({symbols}, cap))"
        filled = f"max({mixed:,.4f}, min({filled} = {grown:,.4f}, {parameters.cap_weight_g:g}))"
    yield Equation(
        "Modelled weight", symbols, filled, capped, engine.modelled_weight_g, "g", None, "stored"
    )
    weight = capped
    if day.anchor is not None:
        yield from _anchor_equations(day)
        weight = day.anchor.weight_g
    yield Equation(
        "Mean weight",
        "the anchor's" if day.anchor else "the modelled one",
        f"{weight:,.4f}",
        weight,
        day.published.avg_weight_g,
        "g",
        4,
        "published",
    )
    source = (
        "measured" if day.anchor is not None
        else "unchanged" if temp_c is None
        else "capped" if capped < grown
        else "tgc_computed"
    )  # fmt: skip
    yield Equation(
        "Source of the weight", "", "", source, day.published.weight_source, "", None,
        "published", True,
    )  # fmt: skip
    limit, next_stage = parameters.max_weight_g, parameters.next_lifecycle_stage_id
    moves_on = limit is not None and next_stage is not None and weight >= limit - WHOLE_FISH
    yield Equation(
        "Stage",
        "on to the next where W reaches the stage's end",
        f"{weight:,.4f} g of {limit:,.4g} g" if limit is not None else "the stage has no end",
        parameters.next_lifecycle_stage_name if moves_on else before.lifecycle_stage_name,
        day.published.lifecycle_stage_name,
        "",
        None,
        "published",
        not moves_on,
    )


def mixed_weight_g(stayed: int, weight_g: float, arrivals: Sequence[Movement]) -> float:
    """Mix those that stay with those that arrive, by number; without arrivals W(d-1).

    stayed [fish], weight_g [g] of those that stay; arrivals in the order of their keys.
    """
    count = sum(movement.fish_count for movement in arrivals)
    if not count:
        return weight_g
    arrived_g = sum(movement.fish_count * (movement.weight_g or 0.0) for movement in arrivals)
    return (stayed * weight_g + arrived_g) / (stayed + count)


def _growth_text(day: StateDay, mixed: float) -> tuple[str, str]:
    temp_c, parameters = day.temperature.temp_c, day.parameters
    if temp_c is None:
        return "W* (no temperature, no growth)", f"{mixed:,.4f}"
    if temp_c <= 0:
        return "W* (no growth at or below 0 °C)", f"{mixed:,.4f}"
    if parameters.tgc <= 0:
        return "W* (TGC 0: no growth)", f"{mixed:,.4f}"
    if day.rules.growth_formula == "power_law":
        return (
            "W* + TGC x T^n x W*^m",
            f"{mixed:,.4f} + {parameters.tgc:g} x {temp_c:.4f}^{parameters.exponent_n:g} "
            f"x {mixed:,.4f}^{parameters.exponent_m:g}",
        )
    return (
        "(W*^(1/3) + TGC / 1000 x T)^3",
        f"({mixed:,.4f}^(1/3) + {parameters.tgc:g} / 1000 x {temp_c:.4f})^3",
    )


def _anchor_equations(day: StateDay) -> Iterator[Equation]:
    if day.anchor is None:
        return
    used = [entry for entry in day.measurements if entry.anchor_status == "used"]
    for entry in used:
        yield Equation(
            f"Measured, {entry.anchor_type} {entry.record_id}", "from the raw record", entry.said,
            entry.weight_g, entry.published_weight_g, "g", 4, "published", True,
        )  # fmt: skip
    weight, filled = averaged_weight_g(used)
    yield Equation(
        "Anchor",
        "mean of the measurements, by fish weighed" if len(used) > 1 else "as measured",
        filled,
        weight,
        day.anchor.weight_g,
        "g",
        None,
        "stored",
    )


def averaged_weight_g(measurements: Sequence[Measurement]) -> tuple[float | None, str]:
    """Average measurements of one kind by sample size (missing or below 1 counts as 1).

    A single one is taken exactly as recorded.
    """
    if not measurements:
        return None, "no measurement is there any more"
    if len(measurements) == 1:
        return measurements[0].weight_g, f"{measurements[0].weight_g:,.4f}"
    sizes = [max(entry.sample_size or 1, 1) for entry in measurements]
    total = sum(sizes)
    weighted = sum(e.weight_g * n for e, n in zip(measurements, sizes, strict=True))
    terms = " + ".join(
        f"{n:,} x {e.weight_g:,.4f}" for e, n in zip(measurements, sizes, strict=True)
    )
    return weighted / total, f"({terms}) / {total:,}"


def _measure_equations(day: StateDay) -> Iterator[Equation]:
    published, engine = day.published, day.engine
    yield Equation(
        "Biomass",
        "N x W / 1000",
        f"{published.population:,} x {engine.weight_g:,.4f} / 1000",
        published.population * engine.weight_g / 1000,
        published.biomass_kg,
        "kg",
        2,
        "published",
    )
    fed = _feed_kg(day)
    amounts = [entry.amount_kg or 0 for entry in day.feed.records if entry.is_used]
    yield Equation(
        "Feed", "sum of feeding events", " + ".join(f"{amount:,.4f}" for amount in amounts), fed,
        published.feed_kg, "kg", 4, "published", len(amounts) < 2,
    )  # fmt: skip
    start_count = engine.stayed_count + engine.arrived_count
    modelled, mixed = engine.modelled_weight_g, engine.mixed_weight_g
    gain = (start_count * (modelled - mixed) - engine.mortality_count * modelled) / 1000
    yield Equation(
        "Gain",
        "((stay + arrived) x (modelled - W*) - died x modelled) / 1000",
        f"({start_count:,} x ({modelled:,.4f} - {mixed:,.4f}) "
        f"- {engine.mortality_count:,} x {modelled:,.4f}) / 1000",
        gain,
        published.gain_kg,
        "kg",
        4,
        "published",
    )
    fcr: float | None = None
    filled = f"gain not above {day.rules.min_gain_kg_for_fcr:g} kg: too little for a ratio"
    if fed is None or fed <= 0:
        filled = "no feed recorded"
    elif gain > day.rules.min_gain_kg_for_fcr:
        ratio = fed / gain
        fcr = min(ratio, day.rules.fcr_cap)
        filled = f"{fed:,.4f} / {gain:,.4f}"
        if ratio > fcr:
            filled += f" = {ratio:.3f}, at most {day.rules.fcr_cap:g}"
    yield Equation(
        "FCR",
        "feed / gain",
        filled,
        fcr,
        published.observed_fcr,
        "kg/kg",
        3,
        "published",
    )


def _feed_kg(day: StateDay) -> float | None:
    feed = day.feed
    own = [e.amount_kg or 0.0 for e in feed.records if e.is_used and e.names != "container"]
    shared = [e.amount_kg or 0.0 for e in feed.records if e.is_used and e.names == "container"]
    if not own and not shared:
        return None
    share = 0.0
    if shared:
        biomass = dict(feed.sharing)
        total = sum(biomass.values())
        here = biomass.get(day.stay.assignment_id, 0.0)
        part = here / total if total > 0 else 1 / max(len(biomass), 1)
        share = sum(shared) * part
    return sum(own) + share


def _confidence_equations(day: StateDay) -> Iterator[Equation]:
    published = day.published
    for quantity, found, stored, why in (
        ("weight", _weight_confidence(day), published.weight_confidence, published.weight_source),
        ("temperature", _temp_confidence(day), published.temp_confidence, published.temp_source),
        (
            "mortality",
            day.confidences.get("mortality", {}).get(published.mortality_source),
            published.mortality_confidence,
            published.mortality_source,
        ),
        (
            "feed",
            day.confidences.get("feed", {}).get(published.feed_source),
            published.feed_confidence,
            published.feed_source,
        ),
        ("FCR", _fcr_confidence(day), published.fcr_confidence, published.fcr_source),
    ):
        yield Equation(
            f"Confidence of {quantity}", "", why, found, stored, "", None, "published", True
        )


def _weight_confidence(day: StateDay) -> float | None:
    if day.anchor is not None:
        return day.anchor.confidence
    source = day.published.weight_source
    limits = [day.confidences.get("weight", {}).get(source)]
    if source in ("tgc_computed", "capped"):
        limits.append(day.temperature.temp_confidence)
    if day.engine.is_arrival_inferred:
        limits.append(day.confidences.get("weight", {}).get("arrival_inferred"))
    return min((limit for limit in limits if limit is not None), default=None)


def _temp_confidence(day: StateDay) -> float | None:
    source = day.published.temp_source
    if source == "interpolated" and len(day.temperature.days) > 1:
        first, second = day.temperature.days[:2]
        if _distance(first.day, second.day) <= day.rules.short_interpolation_gap_days:
            source = "interpolated_short"
    return day.confidences.get("temp", {}).get(source)


def _fcr_confidence(day: StateDay) -> float | None:
    limits = (
        day.confidences.get("fcr", {}).get(day.published.fcr_source),
        day.confidences.get("feed", {}).get(day.published.feed_source),
    )
    return min((limit for limit in limits if limit is not None), default=None)


def _sum(counts: Sequence[int]) -> str:
    return " + ".join(f"{count:,}" for count in counts) or "none"
