"""The readings, measured days or profile days behind a temperature."""

from __future__ import annotations

from datetime import date

from anchorline.explain.facts import MeasuredDay, Ref, Rules, Stay, Temperature
from anchorline.explain.reader import ONE_DAY, READING_TABLE, Reader, Row, as_float


def read_temperature(reader: Reader, stay: Stay, day: date, row: Row, rules: Rules) -> Temperature:
    """Read the day's readings, or those of the days between which it was found."""
    source = row["temp_source"]
    reach = 0
    if source == "interpolated":
        reach = rules.max_interpolation_gap_days
    elif source == "nearest":
        reach = rules.max_nearest_gap_days
    days = reader.rows(
        """
        with temperature_range as (
            select min_value::numeric as lowest, max_value::numeric as highest
            from {seeds}.plausible_ranges where quantity = 'temp'
        )

        select
            readings.reading_date,
            avg(readings.reading_value) filter (where is_plausible)::double precision as temp_c,
            min(readings.reading_value) filter (where is_plausible)::double precision as lowest_c,
            max(readings.reading_value) filter (where is_plausible)::double precision as highest_c,
            min(readings.reading_id) filter (where is_plausible) as first_id,
            max(readings.reading_id) filter (where is_plausible) as last_id,
            count(*) filter (where is_plausible) as reading_count,
            array_agg(readings.reading_id order by readings.reading_id)
                filter (where is_plausible is not true) as rejected_ids
        from {staging}.stg_environmental_readings as readings
        cross join temperature_range
        cross join lateral (
            select readings.reading_value
                between temperature_range.lowest and temperature_range.highest as is_plausible
        ) as judged
        where
            readings.container_id = %(container_id)s
            and readings.parameter_id = any(array(
                select parameters.parameter_id
                from {staging}.stg_environmental_parameters as parameters
                where parameters.parameter_key = 'temperature'
            ))
            and readings.reading_at >= %(first)s::date - 1
            and readings.reading_at < %(last)s::date + 2
            and readings.reading_date between %(first)s and least(%(last)s, %(as_of)s)
        group by readings.reading_date
        order by readings.reading_date
        """,
        container_id=stay.container_id,
        first=day - reach * ONE_DAY,
        last=day + reach * ONE_DAY,
        as_of=stay.as_of_date,
    )
    measured = [
        MeasuredDay(
            day=entry["reading_date"],
            temp_c=entry["temp_c"],
            lowest_c=entry["lowest_c"],
            highest_c=entry["highest_c"],
            refs=(
                Ref.span(
                    READING_TABLE, entry["first_id"], entry["last_id"], entry["reading_count"]
                ),
            ),
            count=entry["reading_count"],
        )
        for entry in days
        if entry["reading_count"]
    ]
    rejected = tuple(
        Ref.of(READING_TABLE, *entry["rejected_ids"])
        for entry in days
        if entry["rejected_ids"] and entry["reading_date"] == day
    )
    temp_c = row["input_temp_c"]
    confidence = as_float(row["temp_confidence"])
    if source == "profile":
        return _profile_temperature(reader, stay, row, temp_c, confidence, rejected)
    earlier = [entry for entry in measured if isinstance(entry.day, date) and entry.day < day]
    later = [entry for entry in measured if isinstance(entry.day, date) and entry.day > day]
    today = [entry for entry in measured if entry.day == day]
    around = (*earlier[-1:], *later[:1])
    if source == "nearest":
        around = tuple(sorted(around, key=lambda entry: _distance(entry, day))[:1])
    return Temperature(
        temp_c=temp_c,
        temp_source=source,
        temp_confidence=confidence,
        days=tuple(today) if today or source == "measured" else around,
        rejected=rejected,
    )


def _distance(entry: MeasuredDay, day: date) -> tuple[int, bool]:
    if not isinstance(entry.day, date):
        raise TypeError("A measured day is a date.")
    return abs((entry.day - day).days), entry.day > day


def _profile_temperature(
    reader: Reader,
    stay: Stay,
    row: Row,
    temp_c: float | None,
    confidence: float | None,
    rejected: tuple[Ref, ...],
) -> Temperature:
    """Read the days of the temperature profile around the day of the batch's life."""
    days = reader.rows(
        """
        with period as (
            select coalesce(temperature_profile_id, 0) as profile_id
            from {intermediate}.int_scenario_periods
            where batch_id = %(batch_id)s and period_start_day = %(period)s
        ),

        days as (
            select
                stored.day_number,
                stored.temp_c,
                stored.temperature_profile_day_id as record_id,
                period.profile_id
            from {staging}.stg_temperature_profile_days as stored
            inner join period on stored.temperature_profile_id = period.profile_id
            inner join {seeds}.plausible_ranges as ranges on ranges.quantity = 'temp'
            where
                stored.day_number is not null
                and stored.temp_c between ranges.min_value and ranges.max_value

            union all

            select stored.day_number, stored.temp_c, null::bigint as record_id, period.profile_id
            from {seeds}.baseline_temperature_profile as stored
            cross join period
            where period.profile_id = 0
        ),

        around as (
            select
                max(day_number) filter (where day_number <= %(day_number)s) as below,
                min(day_number) filter (where day_number > %(day_number)s) as above
            from days
        )

        select
            days.profile_id,
            days.day_number,
            avg(days.temp_c) as temp_c,
            array_remove(array_agg(days.record_id order by days.record_id), null) as record_ids
        from days
        cross join around
        where days.day_number in (around.below, around.above)
        group by days.profile_id, days.day_number
        order by days.day_number
        """,
        batch_id=stay.batch_id,
        period=row["period_start_day"],
        day_number=row["day_number"],
    )
    profile_id = days[0]["profile_id"] if days else 0
    return Temperature(
        temp_c=temp_c,
        temp_source="profile",
        temp_confidence=confidence,
        days=tuple(
            MeasuredDay(
                day=entry["day_number"],
                temp_c=entry["temp_c"],
                lowest_c=entry["temp_c"],
                highest_c=entry["temp_c"],
                refs=(
                    Ref.of("scenario_temperaturereading", *entry["record_ids"])
                    if entry["record_ids"]
                    else Ref("baseline_temperature_profile.csv", (), 0),
                ),
                count=1,
            )
            for entry in days
        ),
        profile_day=row["day_number"],
        profile_ref=Ref.of("scenario_temperatureprofile", profile_id)
        if profile_id
        else Ref("baseline_temperature_profile.csv", (), 0),
        rejected=rejected,
    )
