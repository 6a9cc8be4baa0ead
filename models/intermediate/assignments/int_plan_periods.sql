-- One row per batch, plan and period between model changes: the plan's models from a day of the
-- batch on. The first period starts on day 1 and serves the days before it, too. The baseline
-- (scenario_id null) has no models (null).
{{ config(
    meta={'examined_by': ['batch_id']},
    indexes=[
        {'columns': ['batch_id']},
    ],
) }}

with plans as (
    select * from {{ examined('int_plans') }}
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
        scenario_id,
        1 as period_start_day
    from plans

    union

    select
        plans.batch_id,
        plans.scenario_id,
        greatest(model_changes.change_day, 1) as period_start_day
    from plans
    inner join model_changes on plans.scenario_id = model_changes.scenario_id
),

-- Of several changes before a day the last one counts, for each kind of model by itself.
changed as (
    select
        period_starts.batch_id,
        period_starts.scenario_id,
        period_starts.period_start_day,
        (array_agg(
            model_changes.new_tgc_model_id
            order by model_changes.change_day desc, model_changes.scenario_model_change_id desc
        ) filter (where model_changes.new_tgc_model_id is not null))[1] as tgc_model_id,
        (array_agg(
            model_changes.new_mortality_model_id
            order by model_changes.change_day desc, model_changes.scenario_model_change_id desc
        ) filter (where model_changes.new_mortality_model_id is not null))[1]
            as mortality_model_id,
        (array_agg(
            model_changes.new_fcr_model_id
            order by model_changes.change_day desc, model_changes.scenario_model_change_id desc
        ) filter (where model_changes.new_fcr_model_id is not null))[1] as fcr_model_id
    from period_starts
    left join model_changes
        on
            period_starts.scenario_id = model_changes.scenario_id
            and greatest(model_changes.change_day, 1) <= period_starts.period_start_day
    group by period_starts.batch_id, period_starts.scenario_id, period_starts.period_start_day
),

period_models as (
    select
        changed.batch_id,
        changed.period_start_day,
        plans.scenario_id,
        plans.is_in_force,
        plans.constraint_set_id,
        coalesce(changed.tgc_model_id, plans.tgc_model_id) as tgc_model_id,
        coalesce(changed.mortality_model_id, plans.mortality_model_id) as mortality_model_id,
        coalesce(changed.fcr_model_id, plans.fcr_model_id) as fcr_model_id
    from changed
    inner join plans
        on
            changed.batch_id = plans.batch_id
            and changed.scenario_id is not distinct from plans.scenario_id
),

final as (
    select
        period_models.batch_id,
        period_models.period_start_day,
        lead(period_models.period_start_day) over (
            partition by period_models.batch_id, period_models.scenario_id
            order by period_models.period_start_day
        ) as next_period_start_day,
        period_models.scenario_id,
        period_models.is_in_force,
        period_models.tgc_model_id,
        period_models.mortality_model_id,
        period_models.fcr_model_id,
        period_models.constraint_set_id,
        tgc_models.temperature_profile_id
    from period_models
    left join tgc_models on period_models.tgc_model_id = tgc_models.tgc_model_id
)

select * from final
