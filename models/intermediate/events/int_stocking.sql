-- One row per assignment: where its first fish come from, and what they weigh if nobody says.
{{ config(
    meta={'examined_by': ['assignment_id']},
    indexes=[
        {'columns': ['assignment_id']},
    ],
) }}

with assignments as (
    select * from {{ examined('int_assignments') }}
),

rebuilt_counts as (
    select * from {{ examined('int_rebuilt_counts') }}
),

created as (
    select distinct assignment_id
    from {{ examined('int_creation_actions_checked') }}
    where reject_reason is null
),

transferred_in as (
    select distinct
        dest_assignment_id as assignment_id,
        arrived_date
    from {{ examined('int_transfer_actions_checked') }}
    where reject_reason is null
),

inferred as (
    select distinct dest_assignment_id as assignment_id
    from {{ examined('int_inferred_transfers') }}
),

batch_scenarios as (
    select * from {{ examined('int_batch_scenarios') }}
),

stage_parameters as (
    select * from {{ examined('int_growth_parameters') }} where period_start_day = 1
),

lifecycle_stages as (
    select * from {{ ref('stg_lifecycle_stages') }}
),

sourced as (
    select
        assignments.*,
        rebuilt_counts.rebuilt_count,
        rebuilt_counts.rebuilt_from,
        created.assignment_id is not null as is_created,
        case
            when created.assignment_id is not null then 'creation_actions'
            when transferred_in.assignment_id is not null then 'transfer_in'
            when inferred.assignment_id is not null then 'inferred'
            else 'rebuilt'
        end as stocking_source
    from assignments
    inner join rebuilt_counts on assignments.assignment_id = rebuilt_counts.assignment_id
    left join created on assignments.assignment_id = created.assignment_id
    left join transferred_in
        on
            assignments.assignment_id = transferred_in.assignment_id
            and assignments.assignment_date = transferred_in.arrived_date
    left join inferred on assignments.assignment_id = inferred.assignment_id
),

-- The row's own weight counts only where it is of that day.
weights as (
    select
        sourced.*,
        case
            when sourced.is_created or sourced.assignment_date = sourced.batch_start_date
                then sourced.avg_weight_g
        end as own_weight_g,
        case
            when {{ is_plausible_weight('stage_parameters.min_weight_g') }}
                then stage_parameters.min_weight_g
        end as constraint_weight_g,
        case
            when sourced.assignment_date = sourced.batch_start_date
                then batch_scenarios.initial_weight_g
        end as scenario_weight_g,
        case
            when {{ is_plausible_weight('lifecycle_stages.expected_weight_min_g') }}
                then lifecycle_stages.expected_weight_min_g
        end as stage_weight_g,
        {{ growth_constant('default_start_weight_g') }} as default_weight_g
    from sourced
    left join batch_scenarios on sourced.batch_id = batch_scenarios.batch_id
    left join stage_parameters
        on
            sourced.batch_id = stage_parameters.batch_id
            and sourced.lifecycle_stage_id = stage_parameters.lifecycle_stage_id
    left join lifecycle_stages
        on sourced.lifecycle_stage_id = lifecycle_stages.lifecycle_stage_id
),

final as (
    select
        assignment_id,
        assignment_date,
        stocking_source,
        rebuilt_count,
        rebuilt_from,
        coalesce(
            own_weight_g, constraint_weight_g, scenario_weight_g, stage_weight_g, default_weight_g
        ) as start_weight_g,
        case
            when own_weight_g is not null then 'assignment'
            when constraint_weight_g is not null then 'stage_constraint'
            when scenario_weight_g is not null then 'scenario'
            when stage_weight_g is not null then 'lifecycle_stage'
            else 'default'
        end as start_weight_source
    from weights
)

select * from final
