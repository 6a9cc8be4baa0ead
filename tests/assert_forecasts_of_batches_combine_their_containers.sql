-- In the next four weeks, the forecast of a batch is that of its open assignments, combined by
-- number, on the days on which each of them has one; and a week of it is its last day.
{%- set last_day = as_of_date() ~ ' + 28' %}

with forecast_daily as (
    select * from {{ ref('forecast_daily') }} where state_date <= {{ last_day }}
),

starts as (
    select
        batch_id,
        count(*) as assignment_count
    from {{ ref('int_forecast_starts') }}
    group by batch_id
),

expected as (
    select
        forecast_daily.batch_id,
        forecast_daily.state_date,
        sum(forecast_daily.population) as population,
        sum(forecast_daily.forecast_biomass_kg) as biomass_kg,
        sum(forecast_daily.population * forecast_daily.forecast_weight_g) as weight_sum,
        sum(forecast_daily.population * forecast_daily.forecast_weight_low_g) as low_sum,
        sum(forecast_daily.population * forecast_daily.forecast_weight_high_g) as high_sum
    from forecast_daily
    inner join starts on forecast_daily.batch_id = starts.batch_id
    group by forecast_daily.batch_id, forecast_daily.state_date, starts.assignment_count
    having count(distinct forecast_daily.assignment_id) = starts.assignment_count
),

days as (
    select * from {{ ref('growth_analysis') }}
    where series = 'forecast' and container_id is null and state_date <= {{ last_day }}
),

weeks as (
    select * from {{ ref('growth_analysis_weekly') }}
    where
        series = 'forecast'
        and container_id is null
        and week_start_date <= {{ last_day }} - 6
),

unlike_their_containers as (
    select
        coalesce(days.batch_id, expected.batch_id) as batch_id,
        coalesce(days.state_date, expected.state_date) as state_date
    from days
    full join expected
        on days.batch_id = expected.batch_id and days.state_date = expected.state_date
    where
        (
            days.population = expected.population
            and days.biomass_kg = expected.biomass_kg
            and abs(days.avg_weight_g * expected.population - expected.weight_sum)
            <= 0.00005 * expected.population
            and abs(days.weight_low_g * expected.population - expected.low_sum)
            <= 0.00005 * expected.population
            and abs(days.weight_high_g * expected.population - expected.high_sum)
            <= 0.00005 * expected.population
            or expected.population = 0
        ) is not true
),

unlike_their_last_days as (
    select
        weeks.batch_id,
        weeks.last_state_date as state_date
    from weeks
    left join days as last_days
        on
            weeks.batch_id = last_days.batch_id
            and weeks.last_state_date = last_days.state_date
    left join days as later_days
        on
            weeks.batch_id = later_days.batch_id
            and weeks.last_state_date < later_days.state_date
            and weeks.week_start_date + 6 >= later_days.state_date
    where
        (
            weeks.avg_weight_g is not distinct from last_days.avg_weight_g
            and weeks.population = last_days.population
            and weeks.scenario_id is not distinct from last_days.scenario_id
            and later_days.batch_id is null
        ) is not true
),

final as (
    select * from unlike_their_containers
    union all
    select * from unlike_their_last_days
)

select * from final
