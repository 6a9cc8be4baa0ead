-- One row per planned activity: how it kept to its day, and the fish on the day on which it was due
-- and on that on which it was done, against the plan. A view: what is open becomes overdue with
-- no record changed, and all else is looked up by index.
{{ config(materialized='view') }}

with activities as (
    select * from {{ ref('int_activity_timeliness') }}
),

daily_batch_states as (
    select * from {{ ref('daily_batch_states') }}
),

daily_assignment_states as (
    select * from {{ ref('daily_assignment_states') }}
),

plans as (
    select * from {{ ref('int_plans') }} where is_in_force
),

plan_days as (
    select * from {{ ref('int_plan_days') }} where is_in_force
),

model_fcr as (
    select * from {{ ref('int_model_fcr') }}
),

months as (
    select * from {{ ref('production_figures') }} where period_type = 'month'
),

batches as (
    select * from {{ ref('batches') }}
),

containers as (
    select * from {{ ref('containers') }}
),

activity_days as (
    select
        planned_activity_id,
        batch_id,
        container_id,
        due_date as state_date
    from activities

    union

    select
        planned_activity_id,
        batch_id,
        container_id,
        completed_date as state_date
    from activities
    where completed_date is not null
),

-- Of the activity's container where it has one, else of the whole batch.
states as (
    select
        activity_days.planned_activity_id,
        activity_days.state_date,
        null::bigint as assignment_id,
        days.avg_weight_g,
        days.population,
        days.biomass_kg
    from activity_days
    inner join daily_batch_states as days
        on
            activity_days.batch_id = days.batch_id
            and activity_days.state_date = days.state_date
    where activity_days.container_id is null

    union all

    select
        activity_days.planned_activity_id,
        activity_days.state_date,
        days.assignment_id,
        days.avg_weight_g,
        days.population,
        days.biomass_kg
    from activity_days
    inner join daily_assignment_states as days
        on
            activity_days.batch_id = days.batch_id
            and activity_days.container_id = days.container_id
            and activity_days.state_date = days.state_date
),

planned as (
    select
        activities.*,
        activities.due_date - batches.start_date + 1 as day_number,
        batches.batch_number,
        plan_days.lifecycle_stage_id as scenario_lifecycle_stage_id,
        plan_days.weight_g,
        plan_days.weight_g::numeric(12, 4) as scenario_weight_g,
        case when activities.container_id is null then plan_days.population end
            as scenario_population,
        case
            when activities.container_id is null
                then (plan_days.population * plan_days.weight_g / 1000)::numeric(14, 2)
        end as scenario_biomass_kg
    from activities
    inner join batches on activities.batch_id = batches.batch_id
    left join plan_days
        on
            activities.batch_id = plan_days.batch_id
            and activities.due_date = plan_days.state_date
),

observed as (
    select
        planned.*,
        nullif(model_fcr.model_fcr, 0)::numeric(8, 3) as scenario_fcr,
        at_due.avg_weight_g as due_weight_g,
        at_due.population as due_population,
        at_due.biomass_kg as due_biomass_kg,
        at_completion.avg_weight_g as completed_weight_g,
        at_completion.population as completed_population,
        at_completion.biomass_kg as completed_biomass_kg,
        months.economic_fcr as observed_fcr
    from planned
    left join model_fcr
        on
            planned.batch_id = model_fcr.batch_id
            and planned.scenario_lifecycle_stage_id = model_fcr.lifecycle_stage_id
            and planned.day_number between model_fcr.first_day_number
            and model_fcr.last_day_number
            and planned.weight_g >= model_fcr.min_weight_g
            and planned.weight_g < model_fcr.max_weight_g
    left join states as at_due
        on
            planned.planned_activity_id = at_due.planned_activity_id
            and planned.due_date = at_due.state_date
    left join states as at_completion
        on
            planned.planned_activity_id = at_completion.planned_activity_id
            and planned.completed_date = at_completion.state_date
    left join months
        on
            planned.batch_id = months.batch_id
            and at_completion.assignment_id is not distinct from months.assignment_id
            and date_trunc('month', at_completion.state_date)::date = months.period_start_date
),

final as (
    select
        -- which
        observed.planned_activity_id,
        observed.batch_id,
        observed.batch_number,
        observed.container_id,
        containers.container_name,
        observed.activity_type,
        observed.activity_status,
        observed.scenario_id as activity_scenario_id,

        -- its day
        observed.due_date,
        observed.day_number,
        observed.completed_date,
        observed.days_late,
        observed.timeliness,

        -- the plan on the due date
        plans.scenario_id,
        plans.scenario_name,
        observed.scenario_weight_g,
        observed.scenario_population,
        observed.scenario_biomass_kg::numeric(14, 2) as scenario_biomass_kg,

        -- the fish on the due date
        observed.due_weight_g,
        observed.due_population,
        observed.due_biomass_kg,
        (observed.due_weight_g - observed.scenario_weight_g)::numeric(12, 4)
            as due_weight_variance_g,
        {{ variance_percent('observed.due_weight_g', 'observed.scenario_weight_g') }}
            as due_weight_variance_percent,
        observed.due_population - observed.scenario_population as due_population_variance,
        {{ variance_percent('observed.due_population', 'observed.scenario_population') }}
            as due_population_variance_percent,
        (observed.due_biomass_kg - observed.scenario_biomass_kg)::numeric(14, 2)
            as due_biomass_variance_kg,
        {{ variance_percent('observed.due_biomass_kg', 'observed.scenario_biomass_kg') }}
            as due_biomass_variance_percent,

        -- the fish when it was done
        observed.completed_weight_g,
        observed.completed_population,
        observed.completed_biomass_kg,
        (observed.completed_weight_g - observed.scenario_weight_g)::numeric(12, 4)
            as completed_weight_variance_g,
        {{ variance_percent('observed.completed_weight_g', 'observed.scenario_weight_g') }}
            as completed_weight_variance_percent,
        observed.completed_population - observed.scenario_population
            as completed_population_variance,
        {{ variance_percent('observed.completed_population', 'observed.scenario_population') }}
            as completed_population_variance_percent,
        (observed.completed_biomass_kg - observed.scenario_biomass_kg)::numeric(14, 2)
            as completed_biomass_variance_kg,
        {{ variance_percent('observed.completed_biomass_kg', 'observed.scenario_biomass_kg') }}
            as completed_biomass_variance_percent,

        -- feed conversion
        observed.scenario_fcr,
        observed.observed_fcr,
        (observed.observed_fcr - observed.scenario_fcr)::numeric(8, 3) as fcr_variance
    from observed
    left join plans on observed.batch_id = plans.batch_id
    left join containers on observed.container_id = containers.container_id
)

select * from final
