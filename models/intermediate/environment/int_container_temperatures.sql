-- One row per container and day whose temperature is measured or can be found from measured
-- days nearby (growth model, section 4, rows 1 to 3 of the table).
{{ config(
    meta={
        'examined_by': ['container_id'],
        'examined_days': {'column': 'state_date', 'frame': 'readings'},
    },
    indexes=[
        {'columns': ['container_id']},
    ],
) }}

with measured_days as (
    select
        container_id,
        reading_date,
        mean_temp_c,
        lag(reading_date) over stays as previous_date,
        lead(reading_date) over stays as next_date,
        lead(mean_temp_c) over stays as next_temp_c
    from {{ examined('int_container_day_readings') }}
    where
        mean_temp_c is not null{{ and_examined_days('reading_date', ['container_id'], true) }}
    window stays as (partition by container_id order by reading_date)
),

measured as (
    select
        container_id,
        reading_date as state_date,
        mean_temp_c as temp_c,
        'measured' as temp_source,
        'measured' as confidence_source
    from measured_days
),

interpolated as (
    select
        measured_days.container_id,
        measured_days.reading_date + gap_day as state_date,
        measured_days.mean_temp_c
        + (measured_days.next_temp_c - measured_days.mean_temp_c)
        * gap_day / (measured_days.next_date - measured_days.reading_date) as temp_c,
        'interpolated' as temp_source,
        case
            when
                measured_days.next_date - measured_days.reading_date
                <= {{ var('short_interpolation_gap_days') }}
                then 'interpolated_short'
            else 'interpolated'
        end as confidence_source
    from measured_days
    cross join lateral
        generate_series(1, measured_days.next_date - measured_days.reading_date - 1) as gap_day
    where
        measured_days.next_date - measured_days.reading_date
        <= {{ var('max_interpolation_gap_days') }}
),

-- Days after a measured day, up to the middle of the gap (on a tie the earlier day counts).
after_measured as (
    select
        measured_days.container_id,
        measured_days.reading_date + days_away as state_date,
        measured_days.mean_temp_c as temp_c,
        'nearest' as temp_source,
        'nearest' as confidence_source
    from measured_days
    cross join lateral generate_series(
        1,
        least(
            {{ var('max_nearest_gap_days') }},
            (measured_days.next_date - measured_days.reading_date) / 2,
            {{ as_of_date() }} - measured_days.reading_date
        )
    ) as days_away
    where
        measured_days.next_date is null
        or measured_days.next_date - measured_days.reading_date
        > {{ var('max_interpolation_gap_days') }}
),

-- Days before a measured day, from the middle of the gap on.
before_measured as (
    select
        measured_days.container_id,
        measured_days.reading_date - days_away as state_date,
        measured_days.mean_temp_c as temp_c,
        'nearest' as temp_source,
        'nearest' as confidence_source
    from measured_days
    cross join lateral generate_series(
        1,
        least(
            {{ var('max_nearest_gap_days') }},
            (measured_days.reading_date - measured_days.previous_date - 1) / 2
        )
    ) as days_away
    where
        measured_days.previous_date is null
        or measured_days.reading_date - measured_days.previous_date
        > {{ var('max_interpolation_gap_days') }}
),

unioned as (
    select * from measured
    union all
    select * from interpolated
    union all
    select * from after_measured
    union all
    select * from before_measured
),

confidences as (
    select * from {{ ref('confidence_by_source') }} where quantity = 'temp'
),

final as (
    select
        unioned.container_id,
        unioned.state_date,
        unioned.temp_c::double precision as temp_c,
        unioned.temp_source,
        confidences.confidence as temp_confidence
    from unioned
    inner join confidences on unioned.confidence_source = confidences.source
    where true{{ and_examined_days('unioned.state_date', ['unioned.container_id']) }}
)

select * from final
