-- One row per open activity: the fish that the plan in force and the forecast expect on its due
-- date. A view: a few days per activity are looked up by index.
{{ config(materialized='view') }}

with activities as (
    select * from {{ ref('int_activity_timeliness') }} where is_open
),

forecast_starts as (
    select * from {{ ref('int_forecast_starts') }}
),

forecast_daily as (
    select * from {{ ref('forecast_daily') }}
),

plans as (
    select * from {{ ref('int_plans') }} where is_in_force
),

plan_days as (
    select * from {{ ref('int_plan_days') }} where is_in_force
),

batches as (
    select * from {{ ref('batches') }}
),

containers as (
    select * from {{ ref('containers') }}
),

dated as (
    select
        activities.*,
        batches.batch_number,
        containers.container_name,
        activities.due_date - {{ live_as_of_date() }} as days_to_due,
        activities.due_date - batches.start_date + 1 as day_number
    from activities
    inner join batches on activities.batch_id = batches.batch_id
    left join containers on activities.container_id = containers.container_id
),

-- Of the activity's container, else of all in which the batch is, as in growth_analysis: only
-- where all of them have one. (The limit keeps the planner from joining all days.)
forecasts as (
    select
        dated.planned_activity_id,
        (sum(days.population * days.forecast_weight_g) / nullif(sum(days.population), 0))
        ::numeric(12, 4) as forecast_weight_g,
        (sum(days.population * days.forecast_weight_low_g) / nullif(sum(days.population), 0))
        ::numeric(12, 4) as forecast_weight_low_g,
        (sum(days.population * days.forecast_weight_high_g) / nullif(sum(days.population), 0))
        ::numeric(12, 4) as forecast_weight_high_g,
        sum(days.population)::bigint as forecast_population,
        sum(days.forecast_biomass_kg)::numeric(14, 2) as forecast_biomass_kg
    from dated
    inner join forecast_starts
        on
            dated.batch_id = forecast_starts.batch_id
            and coalesce(dated.container_id = forecast_starts.container_id, true)
    left join lateral (
        select * from forecast_daily
        where
            forecast_daily.assignment_id = forecast_starts.assignment_id
            and forecast_daily.state_date = dated.due_date
        limit 1
    ) as days on true
    group by dated.planned_activity_id
    having count(*) = count(days.assignment_id)
),

projected as (
    select
        dated.*,
        plans.scenario_id as plan_scenario_id,
        plans.scenario_name,
        plan_days.weight_g::numeric(12, 4) as scenario_weight_g,
        case when dated.container_id is null then plan_days.population end
            as scenario_population,
        case
            when dated.container_id is null
                then (plan_days.population * plan_days.weight_g / 1000)::numeric(14, 2)
        end as scenario_biomass_kg,
        forecasts.forecast_weight_g,
        forecasts.forecast_weight_low_g,
        forecasts.forecast_weight_high_g,
        forecasts.forecast_population,
        forecasts.forecast_biomass_kg
    from dated
    left join plans on dated.batch_id = plans.batch_id
    left join plan_days
        on
            dated.batch_id = plan_days.batch_id
            and dated.due_date = plan_days.state_date
    left join forecasts on dated.planned_activity_id = forecasts.planned_activity_id
),

compared as (
    select
        *,
        (forecast_weight_g - scenario_weight_g)::numeric(12, 4) as weight_variance_g,
        {{ variance_percent('forecast_weight_g', 'scenario_weight_g') }}
            as weight_variance_percent
    from projected
),

-- The sentence in its parts.
worded as (
    select
        *,
        case
            when days_to_due = 0 then 'Due today'
            when days_to_due > 0 then format('Due in %s d', days_to_due)
            else format('Overdue by %s d', -days_to_due)
        end as due_words,
        case
            when forecast_weight_g is not null
                then
                    format(
                        'the forecast has %s g and %s fish',
                        {{ readable_number('round(forecast_weight_g, 1)') }},
                        forecast_population
                    )
            else 'there is no forecast for that day'
        end as forecast_words,
        case
            when scenario_population is not null
                then
                    format(
                        'the plan %s g and %s fish',
                        {{ readable_number('round(scenario_weight_g, 1)') }},
                        scenario_population
                    )
            when scenario_weight_g is not null
                then
                    format(
                        'the plan %s g', {{ readable_number('round(scenario_weight_g, 1)') }}
                    )
            else 'the plan does not go so far'
        end as plan_words,
        case
            when weight_variance_percent > 0
                then format(': %s %% heavier than planned', trim_scale(weight_variance_percent))
            when weight_variance_percent < 0
                then format(': %s %% lighter than planned', trim_scale(-weight_variance_percent))
            when weight_variance_percent = 0 then ': as heavy as planned'
            else ''
        end as variance_words
    from compared
),

final as (
    select
        -- which
        worded.planned_activity_id,
        worded.batch_id,
        worded.batch_number,
        worded.container_id,
        worded.container_name,
        worded.activity_type,
        worded.activity_status,

        -- its day
        worded.due_date,
        worded.days_to_due,
        worded.day_number,

        -- by the plan
        worded.plan_scenario_id as scenario_id,
        worded.scenario_name,
        worded.scenario_weight_g,
        worded.scenario_population,
        worded.scenario_biomass_kg::numeric(14, 2) as scenario_biomass_kg,

        -- by the forecast
        worded.forecast_weight_g,
        worded.forecast_weight_low_g,
        worded.forecast_weight_high_g,
        worded.forecast_population,
        worded.forecast_biomass_kg,

        -- the forecast against the plan
        worded.weight_variance_g,
        worded.weight_variance_percent,
        format(
            '%s, on day %s of the batch: %s, %s%s.',
            worded.due_words,
            worded.day_number,
            worded.forecast_words,
            worded.plan_words,
            worded.variance_words
        ) as rationale
    from worded
)

select * from final
