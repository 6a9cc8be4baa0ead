-- One row per container and day with temperature readings: their mean, and the readings out of
-- range. From two passes over the biggest table there is, one for the means and one for the few
-- readings to be listed, for which else all would have to be sorted. Where TimescaleDB aggregates
-- it, only over the days that are not aggregated as they are now.
{{ config(
    meta={
        'examined_by': ['container_id'],
        'examined_since': {'column': 'reading_date', 'var': 'refresh_readings_since'},
    },
    indexes=[
        {'columns': ['container_id']},
    ],
    post_hook="{{ keep_readings_aggregate() }}",
) }}
{%- set aggregate = readings_aggregate() %}

with
{%- if aggregate %}
stale_days as materialized (
    {{ stale_days(aggregate) }}
),

settled_days as (
    select
        aggregated.container_id,
        {{ local_date('aggregated.day_start') }} as reading_date,
        aggregated.mean_temp_c,
        aggregated.reading_count,
        aggregated.rejected_reading_ids,
        aggregated.rejected_values
    from {{ aggregate.relation }} as aggregated
    where
        {{ local_date('aggregated.day_start') }} <= {{ as_of_date() }}
        and not exists (
            select 1 from stale_days
            where
                {{ local_date('aggregated.day_start') }} >= stale_days.from_day
                and {{ local_date('aggregated.day_start') }} < stale_days.to_day
        )
),
{%- endif %}

readings as not materialized (
    select readings.* from {{ ref('stg_environmental_readings') }} as readings
    {%- if aggregate %}
    inner join stale_days
        on readings.reading_at >= stale_days.from_at and readings.reading_at < stale_days.to_at
    {%- endif %}
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

temperature_readings as not materialized (
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
        -- (of `> '-infinity'` beside it the planner would expect next to no rows)
        and isfinite(readings.reading_date)
),

days as (
    select
        container_id,
        reading_date,
        avg(reading_value) filter (where is_plausible) as mean_temp_c,
        count(*) filter (where is_plausible) as reading_count
    from temperature_readings
    group by container_id, reading_date
),

rejected as (
    select
        container_id,
        reading_date,
        array_agg(reading_id order by reading_id) as rejected_reading_ids,
        array_agg(reading_value order by reading_id) as rejected_values
    from temperature_readings
    where is_plausible is not true
    group by container_id, reading_date
),

final as (
    select
        days.container_id,
        days.reading_date,
        days.mean_temp_c,
        days.reading_count,
        rejected.rejected_reading_ids,
        rejected.rejected_values
    from days
    left join rejected
        on days.container_id = rejected.container_id and days.reading_date = rejected.reading_date
    {%- if aggregate %}

    union all

    select * from settled_days
    {%- endif %}
)

select * from final
