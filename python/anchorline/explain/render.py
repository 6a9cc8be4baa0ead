"""An explanation as a person reads it: short sections, plain words, references at the end."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import date
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from anchorline.explain.equations import Equation
from anchorline.explain.facts import (
    DeathRecord,
    Departure,
    MeasuredDay,
    Measurement,
    Movement,
    Ref,
    StateDay,
    Stay,
    Unused,
    joined,
)
from anchorline.explain.reader import ANCHOR_NAMES

SCENARIO_FROM: Final = {
    "pinned_run": "pinned by the batch's projection run",
    "pinned_scenario": "pinned by the batch",
    "first_scenario": "the batch's first scenario",
    "baseline": "the batch has no scenario",
}
MOVEMENT_NAMES: Final = {
    "stocking": "stocked",
    "transfer": "transfer",
    "inferred": "transfer that nobody recorded",
    "harvest": "harvest",
    "transfer_mortality": "died in a transfer",
}
TEMPERATURE_FROM: Final = {
    "measured": "mean of the day's readings",
    "interpolated": "interpolated between measured days",
    "nearest": "that of the nearest measured day",
    "profile": "the scenario's temperature profile",
    "none": "not known: the fish do not grow",
}
DEATHS_FROM: Final = {
    "actual": "recorded for this container",
    "prorated": "with a share of deaths recorded for the whole batch",
    "model": "not recorded: the mortality model's rate",
    "inferred_zero": "not recorded: taken as none",
}
WEIGHT_FROM: Final = {
    "measured": "measured",
    "tgc_computed": "grown by the model",
    "capped": "held at the stage's cap",
    "unchanged": "unchanged, no temperature",
}
FEED_FROM: Final = {"actual": "recorded", "none": "none recorded"}
FCR_FROM: Final = {"calculated": "feed over gain", "insufficient_data": "no feed, or little gain"}
STATUS_NAMES: Final = {
    "used": "used",
    "superseded": "superseded",
    "excluded": "excluded",
    "not_an_anchor": "for comparison only",
}

Line = tuple[str, str, str]
"""What it is, what it says, references."""


def render_state(day: StateDay, equations: Sequence[Equation]) -> RenderableType:
    """Lay out the explanation of a state."""
    return Group(
        *_heading(day.stay, day.state_date, _day_text(day)),
        *_section("The day before", _before_lines(day)),
        *_section("Fish in and out", [_movement_line(entry) for entry in day.movements]),
        *_section("Deaths", _death_lines(day)),
        *_section("Temperature", _temperature_lines(day)),
        *_section("Parameters", _parameter_lines(day)),
        *_section("Anchor", _anchor_lines(day.measurements)),
        *_section("Feed", _feed_lines(day)),
        *_section("Not used", [_unused_line(entry) for entry in day.unused]),
        *_equation_section(equations),
        *_section("Published", _published_lines(day)),
        _verdict(equations, "the published state"),
    )


def render_departure(departure: Departure, equations: Sequence[Equation]) -> RenderableType:
    """Lay out the explanation of a day without a state."""
    stay = departure.stay
    before: list[Line] = []
    if departure.before is not None:
        last = departure.before
        before = [
            ("Last state", f"{last.state_date}, {last.lifecycle_stage_name}", joined(last.refs)),
            ("Fish", f"{last.population:,}", ""),
            ("Mean weight", _weight(last.weight_g), ""),
            ("Biomass", f"{last.population * last.weight_g / 1000:,.2f} kg", ""),
        ]
    moves = [_movement_line(entry) for entry in departure.movements]
    if not moves:
        moves = [("Out", "no transfer, no harvest is recorded for that day", "")]
    title = "Fish in and out" if departure.kind == "passing_through" else "What left"
    closing: list[RenderableType] = []
    if equations:
        closing = [*_equation_section(equations), _verdict(equations, "population_reconciliation")]
    return Group(
        *_heading(stay, departure.state_date, departure_text(departure)),
        *_section("Before", before),
        *_section(title, moves),
        *_section("Deaths that day", [_death_line(entry) for entry in departure.deaths]),
        *_section("Weighed that day", _anchor_lines(departure.measurements)),
        *_section("Not used", [_unused_line(entry) for entry in departure.unused]),
        *closing,
    )


def departure_text(departure: Departure) -> str:
    """Say why the day has no state."""
    stay = departure.stay
    if departure.kind == "passing_through":
        return "The fish passed through on this one day: it has no state."
    late = [
        entry.arrived_date
        for entry in departure.movements
        if entry.arrived_date > entry.departed_date
    ]
    way = f" Fish are on their way until {max(late)}, when they arrive." if late else ""
    if departure.kind == "in_transit":
        return f"No state: the fish left on {stay.departure_date}." + (
            way or " Their arrival is not known yet."
        )
    return f"No state: the departure day. The last state is of {stay.last_active_date}.{way}"


def to_json(explained: StateDay | Departure, equations: Sequence[Equation]) -> dict[str, Any]:
    """Return the explanation as plain data: dates as text, references with table and ids."""
    return {
        "kind": "state" if isinstance(explained, StateDay) else explained.kind,
        "agrees": all(equation.agrees for equation in equations),
        "equations": [{**asdict(entry), "agrees": entry.agrees} for entry in equations],
        **asdict(explained),
    }


def _heading(stay: Stay, day: date, text: str) -> list[RenderableType]:
    title = Text.assemble(
        ("Batch ", ""), (stay.batch_number, "bold"), " in ", (stay.container_name, "bold"),
        " on ", (day.isoformat(), "bold"),
    )  # fmt: skip
    place = f"{stay.place}. " if stay.place else ""
    since = f"There from {stay.assignment_date}"
    if stay.departure_date is not None:
        since += f" to {stay.departure_date}"
    refs = joined(
        (
            Ref.of("batch_batch", stay.batch_id),
            Ref.of("infrastructure_container", stay.container_id),
            Ref.of("batch_batchcontainerassignment", stay.assignment_id),
        )
    )
    lines = [title, Text(text), Text(f"{place}{since}.", "dim"), Text(refs, "dim")]
    if stay.note:
        lines.append(Text(stay.note, "yellow"))
    return list(lines)


def _day_text(day: StateDay) -> str:
    published = day.published
    text = (
        f"{published.population:,} fish of {_weight(published.avg_weight_g)}, "
        f"{published.biomass_kg:,.2f} kg; day {published.day_number}, "
        f"{published.lifecycle_stage_name or 'stage not known'}."
    )
    if day.before.is_row_zero:
        text += " The first day of the stay."
    if published.is_provisional:
        text += " Provisional: records of this day are still coming in."
    return text


def _before_lines(day: StateDay) -> list[Line]:
    before = day.before
    if before.is_row_zero:
        return [
            ("Start", "the stay begins empty; its fish arrive below", joined(before.refs)),
            ("Stage", f"{before.lifecycle_stage_name}, that of the assignment", ""),
            ("Start weight", f"{_weight(before.weight_g)}, {before.weight_from}", ""),
        ]
    carried = before.mortality_carry
    lines = [
        ("State", f"{before.state_date}, {before.lifecycle_stage_name}", joined(before.refs)),
        ("Fish", f"{before.population:,}", ""),
        ("Mean weight", _weight(before.weight_g), ""),
    ]
    if carried:
        lines.append(("Carried", f"{carried:.4f} of a fish expected to die", ""))
    if before.is_arrival_inferred:
        lines.append(("Note", "no anchor yet since fish arrived without a record", ""))
    return lines


def _movement_line(entry: Movement) -> Line:
    if entry.other_container:
        where = f" {'from' if entry.direction == 'in' else 'to'} {entry.other_container}"
        if entry.other_batch:
            where += f" ({entry.other_batch})"
    else:
        where = ""
    text = f"{entry.fish_count:,} fish, {MOVEMENT_NAMES[entry.movement_type]}{where}"
    if entry.arrived_date != entry.departed_date:
        text += f", left {entry.departed_date}, arrived {entry.arrived_date}"
    if len(entry.refs) > 1:
        text += f", in {len(entry.refs)} legs on one day"
    if entry.weight_g is not None:
        text += f"; {_weight(entry.weight_g)}: {entry.weight_from}"
        if entry.weight_refs and entry.weight_refs != entry.refs:
            text += f" ({joined(entry.weight_refs)})"
    elif entry.weight_from:
        text += f"; {entry.weight_from}"
    if entry.count_from:
        text += f"; {entry.count_from}"
    if entry.is_inferred and entry.movement_type != "inferred":
        text += "; a leg of it was inferred"
    return entry.direction.capitalize(), text, joined(entry.refs)


def _death_lines(day: StateDay) -> list[Line]:
    deaths = day.deaths
    text = f"{deaths.mortality_count:,}, {DEATHS_FROM[deaths.mortality_source]}"
    lines = [("Died", text, "")]
    if deaths.is_record_rejected:
        lines.append(("Note", "records of the day are not used: the batch has no fish", ""))
    return lines + [_death_line(record) for record in deaths.records]


def _death_line(record: DeathRecord) -> Line:
    whom = "of the whole batch" if record.is_for_batch else "of this container"
    count = "no number" if record.death_count is None else f"{record.death_count:,}"
    text = f"{count} {whom}"
    if not record.is_used:
        text += f", not used: {record.reason}"
    return "Record", text, str(record.ref)


def _temperature_lines(day: StateDay) -> list[Line]:
    temperature = day.temperature
    value = "none" if temperature.temp_c is None else f"{temperature.temp_c:.4f} °C"
    text = f"{value}, {TEMPERATURE_FROM[temperature.temp_source]}"
    refs = str(temperature.profile_ref) if temperature.profile_ref else ""
    lines = [("Day's mean", text, refs)]
    lines += [_measured_line(entry, day.state_date) for entry in temperature.days]
    if temperature.rejected:
        lines.append(("Rejected", "readings that water cannot have", joined(temperature.rejected)))
    return lines


def _measured_line(entry: MeasuredDay, on: date) -> Line:
    if isinstance(entry.day, int):
        return f"Day {entry.day}", f"{entry.temp_c:.4f} °C of the profile", joined(entry.refs)
    away = (entry.day - on).days
    when = "" if not away else f", {abs(away)} d {'before' if away < 0 else 'after'}"
    readings = "1 reading" if entry.count == 1 else f"{entry.count:,} readings"
    spread = "" if entry.count == 1 else f", from {entry.lowest_c:.2f} to {entry.highest_c:.2f} °C"
    text = f"mean {entry.temp_c:.4f} °C of {readings}{spread}{when}"
    return str(entry.day), text, joined(entry.refs)


def _parameter_lines(day: StateDay) -> list[Line]:
    parameters = day.parameters
    formula = {"cube_root": "cube root (TGC)", "power_law": "power law"}
    name = parameters.scenario_name or "baseline"
    lines = [
        (
            "Scenario",
            f"{name}, {SCENARIO_FROM[parameters.scenario_source]}",
            joined(parameters.scenario_refs),
        ),
        (
            "Models",
            f"TGC: {parameters.tgc_model}; mortality: {parameters.mortality_model}",
            joined(parameters.model_refs),
        ),
        (
            "Formula",
            f"{formula[day.rules.growth_formula]}; for fish in {day.before.lifecycle_stage_name}",
            "",
        ),
    ]
    for parameter in parameters.listed:
        if parameter.name.startswith("Exponent") and day.rules.growth_formula == "cube_root":
            continue
        if parameter.value is None:
            lines.append((parameter.name, "no limit", ""))
            continue
        unit = f" {parameter.unit}" if parameter.unit else ""
        lines.append(
            (
                parameter.name,
                f"{_plain(parameter.value)}{unit}, {parameter.comes_from}",
                joined(parameter.refs),
            )
        )
    if parameters.cap_weight_g is not None:
        lines.append(("Growth stops at", _weight(parameters.cap_weight_g), "stage_weight_caps.csv"))
    return lines


def _anchor_lines(measurements: Sequence[Measurement]) -> list[Line]:
    lines = []
    for entry in measurements:
        fish = f" of {entry.sample_size:,} fish" if entry.sample_size else ""
        text = f"{_weight(entry.weight_g)}{fish}, {ANCHOR_NAMES[entry.anchor_type]}"
        if entry.said:
            text += f": {entry.said}"
        lines.append((STATUS_NAMES[entry.anchor_status].capitalize(), text, joined(entry.refs)))
    return lines


def _feed_lines(day: StateDay) -> list[Line]:
    feed = day.feed
    if not feed.records:
        return [("Fed", "nothing recorded", "")]
    lines = []
    names = {
        "assignment": "for this stay",
        "batch and container": "for batch and container",
        "container": "for the container alone",
    }
    for record in feed.records:
        amount = "no amount" if record.amount_kg is None else f"{record.amount_kg:,.4f} kg"
        used = "" if record.is_used else ", not used"
        lines.append(("Fed", f"{amount} {names[record.names]}{used}", str(record.ref)))
    if feed.share_kg is not None and feed.container_kg is not None:
        others = len(feed.sharing)
        lines.append(
            (
                "Share",
                f"{feed.share_kg:,.4f} of {feed.container_kg:,.4f} kg for the container, "
                f"by biomass among {others} {'stay' if others == 1 else 'stays'}",
                "",
            )
        )
    return lines


def _unused_line(entry: Unused) -> Line:
    return "Not used", f"{entry.what}: {entry.reason}", str(entry.ref)


def _published_lines(day: StateDay) -> list[Line]:
    published = day.published

    def trusted(confidence: float | None) -> str:
        return "no confidence" if confidence is None else f"confidence {confidence:.2f}"

    def number(value: float | None, unit: str, decimals: int) -> str:
        return "none" if value is None else f"{value:,.{decimals}f} {unit}".rstrip()

    weight = WEIGHT_FROM[published.weight_source]
    if published.anchor_type:
        weight = ANCHOR_NAMES[published.anchor_type]
    if published.is_arrival_inferred:
        weight += ", after an arrival without a record"
    lines = [
        (
            "Mean weight",
            f"{published.avg_weight_g:,.4f} g; {weight}, {trusted(published.weight_confidence)}",
            "",
        ),
        ("Fish", f"{published.population:,}", ""),
        ("Biomass", number(published.biomass_kg, "kg", 2), ""),
        (
            "Deaths",
            f"{published.mortality_count:,}; {DEATHS_FROM[published.mortality_source]}, "
            f"{trusted(published.mortality_confidence)}",
            "",
        ),
        (
            "Temperature",
            f"{number(published.temp_c, '°C', 2)}; {published.temp_source}, "
            f"{trusted(published.temp_confidence)}",
            "",
        ),
        (
            "Feed",
            f"{number(published.feed_kg, 'kg', 4)}; {FEED_FROM[published.feed_source]}, "
            f"{trusted(published.feed_confidence)}",
            "",
        ),
        ("Gain", number(published.gain_kg, "kg", 4), ""),
        (
            "FCR",
            f"{number(published.observed_fcr, '', 3)}; {FCR_FROM[published.fcr_source]}, "
            f"{trusted(published.fcr_confidence)}",
            "",
        ),
        ("Computed", f"{published.last_computed_at:%Y-%m-%d %H:%M %Z}", ""),
    ]
    if published.planned_activity_id is not None:
        lines.append(
            (
                "Carried out",
                "a planned activity",
                str(Ref.of("planning_plannedactivity", published.planned_activity_id)),
            )
        )
    return lines


def _section(title: str, lines: Iterable[Line]) -> list[RenderableType]:
    listed = list(lines)
    if not listed:
        return []
    grid = Table.grid(padding=(0, 2))
    grid.add_column(min_width=12)
    grid.add_column(overflow="fold")
    for label, text, refs in listed:
        said = Text(text)
        if refs:
            said.append(f"  {refs}", "dim")
        grid.add_row(Text(f"  {label}"), said)
    return [Text(""), Text(title, "bold"), grid]


def _equation_section(equations: Sequence[Equation]) -> list[RenderableType]:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(min_width=12)
    grid.add_column(overflow="fold")
    grid.add_column(no_wrap=True)
    for equation in equations:
        if equation.is_detail and equation.agrees:
            continue
        result = _value(equation.result, equation)
        body = Text(f"{equation.symbols}\n", "dim")
        if any(sign in equation.filled for sign in "+-/x("):
            join = ": " if " = " in equation.filled else " = "
            body.append(f"{equation.filled}{join}", "not dim")
        elif not any(digit in equation.filled for digit in "123456789"):
            body.append(f"{equation.filled}: ", "not dim")
        body.append(result, "bold not dim")
        mark = Text("ok", "green")
        if not equation.agrees:
            body.append(f"\n{equation.where}: {_value(equation.stored, equation)}", "bold red")
            mark = Text("DIFFERS", "bold red")
        grid.add_row(Text(f"  {equation.name}"), body, mark)
    return [Text(""), Text("Computed again", "bold"), grid]


def _verdict(equations: Sequence[Equation], what: str) -> Text:
    wrong = [equation.name for equation in equations if not equation.agrees]
    if wrong:
        return Text(
            f"\nComputed again, {what} does not come out: {', '.join(wrong)}. Either records have "
            "changed since it was computed (build again), or the build had other vars than "
            "dbt_project.yml (name them with --vars).",
            "bold red",
        )
    return Text(f"\nComputed again, all {len(equations)} equations give {what}.", "bold green")


def _value(value: float | int | str | None, equation: Equation) -> str:
    unit = f" {equation.unit}" if equation.unit else ""
    if value is None:
        return "none"
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return f"{value:,}{unit}"
    decimals = 4 if equation.decimals is None else equation.decimals
    text = f"{value:,.{decimals}f}"
    if equation.decimals is None and not equation.agrees:
        text = f"{value:.12g}"
    elif value and abs(value) < 0.01:
        text = _plain(value)
    return text + unit


def _weight(grams: float) -> str:
    return f"{grams:,.4f} g"


def _plain(number: float) -> str:
    """Write a number without needless digits, and without an exponent where it is legible."""
    if number == 0 or not math.isfinite(number):
        return f"{number:g}"
    if 1e-4 <= abs(number) < 1e6:
        return f"{number:.6g}"
    return f"{number:.4e}"
