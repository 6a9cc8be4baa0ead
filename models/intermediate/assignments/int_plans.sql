-- One row per batch and plan: each of its usable scenarios, and the one in force wherever that
-- comes from (scenario_id null: the baseline of the seeds, for batches that have no scenario).
{{ config(
    meta={'examined_by': ['batch_id']},
    indexes=[
        {'columns': ['batch_id']},
    ],
) }}

with batches as (
    select * from {{ examined('stg_batches') }}
),

batch_scenarios as (
    select * from {{ examined('int_batch_scenarios') }}
),

scenarios as (
    select * from {{ ref('int_scenarios_checked') }} where reject_reason is null
),

projection_runs as (
    select * from {{ ref('stg_projection_runs') }}
),

of_batches as (
    select
        batches.batch_id,
        scenarios.scenario_id
    from batches
    inner join scenarios on batches.batch_id = scenarios.batch_id

    union

    select
        batch_id,
        scenario_id
    from batch_scenarios
),

final as (
    select
        of_batches.batch_id,
        of_batches.scenario_id,
        scenarios.scenario_name,
        coalesce(of_batches.scenario_id, 0) = coalesce(batch_scenarios.scenario_id, 0)
            as is_in_force,
        (
            of_batches.scenario_id = batch_scenarios.scenario_id
            and batch_scenarios.scenario_source in ('pinned_run', 'pinned_scenario')
        ) is true as is_pinned,
        scenarios.tgc_model_id,
        scenarios.mortality_model_id,
        scenarios.fcr_model_id,
        scenarios.constraint_set_id,
        scenarios.initial_weight_g,
        projection_runs.projection_run_id as pinned_projection_run_id
    from of_batches
    inner join batch_scenarios on of_batches.batch_id = batch_scenarios.batch_id
    inner join batches on of_batches.batch_id = batches.batch_id
    left join scenarios on of_batches.scenario_id = scenarios.scenario_id
    left join projection_runs
        on
            batches.pinned_projection_run_id = projection_runs.projection_run_id
            and of_batches.scenario_id = projection_runs.scenario_id
)

select * from final
