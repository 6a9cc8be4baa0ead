-- One row per batch and period between model changes: the models in force from a day of the
-- batch on. The first period starts on day 1 and serves the days before it, too. The baseline
-- has no models (null).
{{ config(
    meta={'examined_by': ['batch_id']},
    indexes=[
        {'columns': ['batch_id']},
    ],
) }}

with batch_scenarios as (
    select * from {{ examined('int_batch_scenarios') }}
),

model_changes as (
    select * from {{ ref('int_scenario_model_changes_checked') }} where reject_reason is null
),

tgc_models as (
    select * from {{ ref('stg_tgc_models') }}
),

period_starts as (
    select
        batch_id,
        1 as period_start_day
    from batch_scenarios

    union

    select
        batch_scenarios.batch_id,
        greatest(model_changes.change_day, 1) as period_start_day
    from batch_scenarios
    inner join model_changes on batch_scenarios.scenario_id = model_changes.scenario_id
),

-- Of several changes before a day the last one counts, for each kind of model by itself.
changed as (
    select
        period_starts.batch_id,
        period_starts.period_start_day,
        (array_agg(
            model_changes.new_tgc_model_id
            order by model_changes.change_day desc, model_changes.scenario_model_change_id desc
        ) filter (where model_changes.new_tgc_model_id is not null))[1] as tgc_model_id,
        (array_agg(
            model_changes.new_mortality_model_id
            order by model_changes.change_day desc, model_changes.scenario_model_change_id desc
        ) filter (where model_changes.new_mortality_model_id is not null))[1]
            as mortality_model_id
    from period_starts
    inner join batch_scenarios on period_starts.batch_id = batch_scenarios.batch_id
    left join model_changes
        on
            batch_scenarios.scenario_id = model_changes.scenario_id
            and greatest(model_changes.change_day, 1) <= period_starts.period_start_day
    group by period_starts.batch_id, period_starts.period_start_day
),

in_force as (
    select
        changed.batch_id,
        changed.period_start_day,
        batch_scenarios.scenario_id,
        batch_scenarios.constraint_set_id,
        coalesce(changed.tgc_model_id, batch_scenarios.tgc_model_id) as tgc_model_id,
        coalesce(changed.mortality_model_id, batch_scenarios.mortality_model_id)
            as mortality_model_id
    from changed
    inner join batch_scenarios on changed.batch_id = batch_scenarios.batch_id
),

final as (
    select
        in_force.batch_id,
        in_force.period_start_day,
        lead(in_force.period_start_day) over (
            partition by in_force.batch_id order by in_force.period_start_day
        ) as next_period_start_day,
        in_force.scenario_id,
        in_force.tgc_model_id,
        in_force.mortality_model_id,
        in_force.constraint_set_id,
        tgc_models.temperature_profile_id
    from in_force
    left join tgc_models on in_force.tgc_model_id = tgc_models.tgc_model_id
)

select * from final
