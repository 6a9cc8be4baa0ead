-- One row per batch: the scenario in force. No batch is without one: the last resort is the
-- baseline scenario of the seeds (scenario_id null).
{{ config(
    meta={'examined_by': ['batch_id']},
    indexes=[
        {'columns': ['batch_id']},
    ],
) }}

with batches as (
    select * from {{ examined('stg_batches') }}
),

scenarios as (
    select * from {{ ref('int_scenarios_checked') }} where reject_reason is null
),

projection_runs as (
    select * from {{ ref('stg_projection_runs') }}
),

first_scenarios as (
    select
        batch_id,
        min(scenario_id) as scenario_id
    from scenarios
    where batch_id is not null
    group by batch_id
),

chosen as (
    select
        batches.batch_id,
        coalesce(
            pinned_run_scenarios.scenario_id,
            pinned_scenarios.scenario_id,
            first_scenarios.scenario_id
        ) as scenario_id,
        case
            when pinned_run_scenarios.scenario_id is not null then 'pinned_run'
            when pinned_scenarios.scenario_id is not null then 'pinned_scenario'
            when first_scenarios.scenario_id is not null then 'first_scenario'
            else 'baseline'
        end as scenario_source
    from batches
    left join projection_runs
        on batches.pinned_projection_run_id = projection_runs.projection_run_id
    left join scenarios as pinned_run_scenarios
        on projection_runs.scenario_id = pinned_run_scenarios.scenario_id
    left join scenarios as pinned_scenarios
        on batches.pinned_scenario_id = pinned_scenarios.scenario_id
    left join first_scenarios on batches.batch_id = first_scenarios.batch_id
),

final as (
    select
        chosen.batch_id,
        chosen.scenario_id,
        chosen.scenario_source,
        scenarios.scenario_name,
        scenarios.tgc_model_id,
        scenarios.mortality_model_id,
        scenarios.fcr_model_id,
        scenarios.constraint_set_id,
        scenarios.initial_weight_g
    from chosen
    left join scenarios on chosen.scenario_id = scenarios.scenario_id
)

select * from final
