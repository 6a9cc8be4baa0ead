-- One row per temperature profile and day of its span: linear between the profile's days. The
-- baseline profile of the seeds has the id 0. Outside the span, readers hold its first or last
-- day (first_day, last_day).
{{ config(
    indexes=[
        {'columns': ['temperature_profile_id', 'day_number']},
    ],
) }}

with profile_days as (
    select
        temperature_profile_id,
        day_number,
        avg(temp_c) as temp_c
    from {{ ref('stg_temperature_profile_days') }}
    where
        day_number is not null
        and temp_c between {{ plausible('temp', 'min_value') }}
        and {{ plausible('temp', 'max_value') }}
    group by temperature_profile_id, day_number

    union all

    select
        0 as temperature_profile_id,
        day_number,
        temp_c
    from {{ ref('baseline_temperature_profile') }}
),

segments as (
    select
        temperature_profile_id,
        day_number,
        temp_c,
        lead(day_number) over profile as next_day_number,
        lead(temp_c) over profile as next_temp_c,
        min(day_number) over (partition by temperature_profile_id) as first_day,
        max(day_number) over (partition by temperature_profile_id) as last_day
    from profile_days
    window profile as (partition by temperature_profile_id order by day_number)
),

final as (
    select
        segments.temperature_profile_id,
        segments.day_number + days_on as day_number,
        segments.temp_c
        + coalesce(
            (segments.next_temp_c - segments.temp_c)
            * days_on / (segments.next_day_number - segments.day_number),
            0
        ) as temp_c,
        segments.first_day,
        segments.last_day
    from segments
    cross join lateral
        generate_series(0, coalesce(segments.next_day_number - segments.day_number - 1, 0))
            as days_on
)

select * from final
