-- One row per open assignment: the newest smoothed state, from which its forecast starts, by how
-- much the water is warmer than the profile says, and the weight that its fish are to reach.
{{ config(
    meta={'published_by': 'batches', 'published_also': 'examined'},
    indexes=[
        {'columns': ['assignment_id'], 'unique': true},
        {'columns': ['batch_id']},
    ],
) }}

with smoothed_ends as (
    select * from {{ pending('int_smoothed_ends', 'batches') }}
),

assignments as (
    select * from {{ pending('int_assignments', 'batches') }}
),

growth_inputs as not materialized (
    select * from {{ ref('int_growth_inputs') }}
),

growth_states as not materialized (
    select * from {{ ref('int_growth_states') }}
),

periods as (
    select * from {{ pending('int_scenario_periods', 'batches') }}
),

parameters as (
    select * from {{ pending('int_growth_parameters', 'batches') }}
),

profile_temperatures as not materialized (
    select * from {{ ref('int_profile_temperatures') }}
),

profile_spans as (
    select
        temperature_profile_id,
        min(first_day) as first_day,
        max(last_day) as last_day
    from profile_temperatures
    group by temperature_profile_id
),

-- Fish that leave on the day after the last one, or before, are not followed.
open_assignments as (
    select
        smoothed_ends.*,
        assignments.container_id,
        assignments.batch_start_date
    from smoothed_ends
    inner join assignments
        on
            smoothed_ends.assignment_id = assignments.assignment_id
            and smoothed_ends.state_date = assignments.last_active_date
    where
        smoothed_ends.population > 0
        and coalesce(assignments.end_date > smoothed_ends.state_date + 1, true)
),

-- One look-up in the index for each. (The limit keeps the planner from joining all days.)
measured_days as materialized (
    select
        open_assignments.assignment_id,
        open_assignments.batch_id,
        days.state_date,
        days.temp_c,
        greatest(days.day_number, 1) as day_number
    from open_assignments
    cross join lateral (
        select * from growth_inputs
        where
            growth_inputs.assignment_id = open_assignments.assignment_id
            and growth_inputs.state_date
            > open_assignments.state_date - {{ forecast_constant('bias_days') }}::integer
            and growth_inputs.state_date <= open_assignments.state_date
        limit {{ forecast_constant('bias_days') }}::integer
    ) as days
    where days.temp_source = 'measured'
),

placed_days as materialized (
    select
        measured_days.*,
        profile_spans.temperature_profile_id,
        least(
            greatest(measured_days.day_number, profile_spans.first_day),
            profile_spans.last_day
        ) as profile_day
    from measured_days
    inner join periods
        on
            measured_days.batch_id = periods.batch_id
            and measured_days.day_number >= periods.period_start_day
            and coalesce(measured_days.day_number < periods.next_period_start_day, true)
    inner join profile_spans
        on coalesce(periods.temperature_profile_id, 0) = profile_spans.temperature_profile_id
),

biases as (
    select
        placed_days.assignment_id,
        sum(placed_days.temp_c - profile.temp_c order by placed_days.state_date)
        / count(*) as mean_excess_c
    from placed_days
    cross join lateral (
        select profile_temperatures.temp_c
        from profile_temperatures
        where
            placed_days.temperature_profile_id = profile_temperatures.temperature_profile_id
            and placed_days.profile_day = profile_temperatures.day_number
        limit 1
    ) as profile
    group by placed_days.assignment_id
),

-- Only fish that do not grow leave their stage with time.
waiting_stages as (
    select distinct
        batch_id,
        lifecycle_stage_id
    from parameters
    where coalesce(tgc, 0) <= 0
),

-- The weight at which the last stage ends. A limit of 0 or less says nothing of when fish are sold.
last_limits as (
    select
        batch_id,
        min(max_weight_g) filter (where max_weight_g > 0) as max_weight_g
    from parameters
    where next_lifecycle_stage_id is null
    group by batch_id
),

final as (
    select
        open_assignments.assignment_id,
        open_assignments.batch_id,
        open_assignments.container_id,
        open_assignments.batch_start_date,
        open_assignments.state_date as computed_date,
        open_assignments.lifecycle_stage_id,
        case
            when waiting_stages.batch_id is not null
                then (
                    select count(*) from growth_states
                    where
                        growth_states.assignment_id = open_assignments.assignment_id
                        and growth_states.lifecycle_stage_id
                        = open_assignments.lifecycle_stage_id
                )
        end::integer as days_in_stage,
        open_assignments.population,
        {{ weight_of_root('open_assignments.root') }} as weight_g,
        open_assignments.root_variance,
        least(
            greatest(
                coalesce(biases.mean_excess_c, 0), -{{ forecast_constant('largest_bias_c') }}
            ),
            {{ forecast_constant('largest_bias_c') }}
        ) as temperature_bias_c,
        least({{ forecast_constant('harvest_weight_g') }}, last_limits.max_weight_g)
            as harvest_weight_g
    from open_assignments
    left join biases on open_assignments.assignment_id = biases.assignment_id
    left join waiting_stages
        on
            open_assignments.batch_id = waiting_stages.batch_id
            and open_assignments.lifecycle_stage_id = waiting_stages.lifecycle_stage_id
    left join last_limits on open_assignments.batch_id = last_limits.batch_id
)

select * from final
