-- One row per container and day with temperature readings: their mean, and the readings out of
-- range. Both from one pass over the biggest table there is.
{{ config(
    meta={
        'examined_by': ['container_id'],
        'examined_since': {'column': 'reading_date', 'var': 'refresh_readings_since'},
    },
    indexes=[
        {'columns': ['container_id']},
    ],
) }}

with readings as (
    select * from {{ ref('stg_environmental_readings') }}
    {%- if is_limited() and is_scoped() %}
    where
        {{ is_examined(['container_id']) }}
        {{ and_examined_since('reading_date') }}
        -- the same a day earlier, whatever the time zone, in the column that has an index
        {{ and_examined_since('reading_at', days_before=1) }}
    {%- endif %}
),

temperature_parameters as (
    select parameter_id
    from {{ ref('stg_environmental_parameters') }}
    where parameter_key = 'temperature'
),

temperature_readings as (
    select
        readings.reading_id,
        readings.container_id,
        readings.reading_date,
        readings.reading_value,
        readings.reading_value between
        {{ plausible('temp', 'min_value') }}::numeric
        and {{ plausible('temp', 'max_value') }}::numeric as is_plausible
    from readings
    where
        readings.parameter_id in (
            select temperature_parameters.parameter_id from temperature_parameters
        )
        and readings.container_id is not null
        and readings.reading_date <= {{ as_of_date() }}
        and readings.reading_date > '-infinity'
),

final as (
    select
        container_id,
        reading_date,
        avg(reading_value) filter (where is_plausible) as mean_temp_c,
        count(*) filter (where is_plausible) as reading_count,
        array_agg(reading_id order by reading_id) filter (where is_plausible is not true)
            as rejected_reading_ids,
        array_agg(reading_value order by reading_id) filter (where is_plausible is not true)
            as rejected_values
    from temperature_readings
    group by container_id, reading_date
)

select * from final
