-- One row per batch and plan that can be computed: with which fish it starts on which day, and
-- until when it is followed. What a scenario does not say is taken from the batch's own fish.
-- By the power law it reads, too:
-- depends_on: {{ ref('plausible_ranges') }}
{{ config(
    meta={'published_by': 'batches', 'published_also': 'examined'},
    indexes=[
        {'columns': ['batch_id']},
    ],
) }}

with plans as (
    select * from {{ pending('int_plans', 'batches') }}
),

batches as (
    select * from {{ ref('stg_batches') }}
),

scenarios as (
    select * from {{ ref('stg_scenarios') }}
),

assignments as (
    select * from {{ pending('int_assignments', 'batches') }}
),

batch_days as (
    select * from {{ pending('int_batch_days', 'batches') }}
),

parameters as (
    select * from {{ pending('int_plan_parameters', 'batches') }}
),

-- Of several stages of one order, which are alternatives, only the first is a next one.
lifecycle_stages as (
    select
        lifecycle_stage_id,
        species_id,
        stage_order,
        lifecycle_stage_id = min(lifecycle_stage_id) over (partition by species_id, stage_order)
            as is_next
    from {{ ref('stg_lifecycle_stages') }}
),

state_days as (
    select
        batch_id,
        min(state_date) as first_state_date,
        max(state_date) as last_state_date
    from batch_days
    group by batch_id
),

-- All fish that came into the batch from outside it.
stocked as (
    select
        assignments.batch_id,
        sum(movements.fish_count)::bigint as stocked_count
    from assignments
    inner join {{ ref('int_movements') }} as movements
        on assignments.assignment_id = movements.to_assignment_id
    left join {{ ref('int_assignments') }} as sources
        on movements.from_assignment_id = sources.assignment_id
    where sources.batch_id is distinct from assignments.batch_id
    group by assignments.batch_id
),

first_stages as (
    select distinct on (assignments.batch_id)
        assignments.batch_id,
        lifecycle_stages.lifecycle_stage_id,
        lifecycle_stages.species_id,
        lifecycle_stages.stage_order
    from assignments
    inner join lifecycle_stages
        on assignments.lifecycle_stage_id = lifecycle_stages.lifecycle_stage_id
    order by assignments.batch_id, assignments.assignment_date, assignments.assignment_id
),

dated as (
    select
        plans.*,
        state_days.last_state_date,
        scenarios.initial_count,
        case
            when plans.scenario_id is null
                then coalesce(state_days.first_state_date, batches.start_date)
            when {{ is_possible_start('scenarios.start_date') }} then scenarios.start_date
            else batches.start_date
        end as start_date,
        least(
            case
                when scenarios.duration_days > 0 then scenarios.duration_days
                else {{ growth_constant('default_plan_days') }}
            end,
            {{ growth_constant('longest_plan_days') }}
        )::integer as duration_days,
        scenarios.duration_days > 0 as is_duration_planned
    from plans
    inner join batches on plans.batch_id = batches.batch_id
    left join scenarios on plans.scenario_id = scenarios.scenario_id
    left join state_days on plans.batch_id = state_days.batch_id
),

-- The weight of the batch's own fish is that of its first day from the plan's start on.
stocked_plans as (
    select
        dated.*,
        case
            when dated.initial_count > 0 then dated.initial_count
            else coalesce(stocked.stocked_count, 0)
        end as population,
        coalesce(
            dated.initial_weight_g,
            own_days.start_weight_g,
            {{ growth_constant('default_start_weight_g') }}
        ) as weight_g
    from dated
    left join stocked on dated.batch_id = stocked.batch_id
    left join lateral (
        select batch_days.start_weight_g
        from {{ ref('int_batch_days') }} as batch_days
        where
            dated.initial_weight_g is null
            and dated.batch_id = batch_days.batch_id
            and dated.start_date <= batch_days.state_date
        order by batch_days.state_date
        limit 1
    ) as own_days on true
    where {{ is_possible_start('dated.start_date') }}
),

-- The stage in which the batch begins or, where the fish have outgrown it by then, the first one
-- after it whose limit they are below.
possible_stages as (
    select
        stocked_plans.batch_id,
        stocked_plans.scenario_id,
        parameters.lifecycle_stage_id,
        row_number() over (
            partition by stocked_plans.batch_id, stocked_plans.scenario_id
            order by lifecycle_stages.stage_order
        ) as rank
    from stocked_plans
    inner join first_stages on stocked_plans.batch_id = first_stages.batch_id
    inner join parameters
        on
            stocked_plans.batch_id = parameters.batch_id
            and stocked_plans.scenario_id is not distinct from parameters.scenario_id
            and parameters.period_start_day = 1
    inner join lifecycle_stages
        on
            parameters.lifecycle_stage_id = lifecycle_stages.lifecycle_stage_id
            and first_stages.species_id = lifecycle_stages.species_id
            and (
                first_stages.lifecycle_stage_id = lifecycle_stages.lifecycle_stage_id
                or (
                    first_stages.stage_order < lifecycle_stages.stage_order
                    and lifecycle_stages.is_next
                )
            )
    where
        parameters.max_weight_g is null
        or stocked_plans.weight_g < parameters.max_weight_g - 1e-9
        or parameters.next_lifecycle_stage_id is null
),

final as (
    select
        stocked_plans.batch_id,
        stocked_plans.scenario_id,
        stocked_plans.is_in_force,
        stocked_plans.is_pinned,
        stocked_plans.pinned_projection_run_id,
        stocked_plans.start_date,
        greatest(
            case
                when stocked_plans.is_duration_planned
                    then stocked_plans.start_date + stocked_plans.duration_days - 1
            end,
            stocked_plans.last_state_date
        ) as planned_date,
        least(
            greatest(
                stocked_plans.start_date + stocked_plans.duration_days - 1,
                stocked_plans.last_state_date
            ),
            stocked_plans.start_date + {{ growth_constant('longest_plan_days') }}::integer - 1
        ) as last_date,
        possible_stages.lifecycle_stage_id,
        stocked_plans.population,
        stocked_plans.weight_g
    from stocked_plans
    inner join possible_stages
        on
            stocked_plans.batch_id = possible_stages.batch_id
            and stocked_plans.scenario_id is not distinct from possible_stages.scenario_id
            and possible_stages.rank = 1
)

select * from final
{%- if growth_formula() == 'power_law' %}
-- Coefficients that were not fitted in that form stop the run only in the scenario in force.
where
    not exists (
        select 1 from parameters
        where
            final.batch_id = parameters.batch_id
            and final.scenario_id is not distinct from parameters.scenario_id
            and parameters.tgc <> 0
            and not {{ is_plausible_power_law('parameters') }}
    )
{%- endif %}
