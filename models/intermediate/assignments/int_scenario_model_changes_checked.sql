-- One row per raw change of a scenario's models, with the reason why it is not used (null
-- where it is).
with model_changes as (
    select * from {{ ref('stg_scenario_model_changes') }}
),

tgc_models as (
    select * from {{ ref('stg_tgc_models') }}
),

mortality_models as (
    select * from {{ ref('stg_mortality_models') }}
),

final as (
    select
        model_changes.scenario_model_change_id,
        model_changes.scenario_id,
        model_changes.change_day,
        model_changes.new_tgc_model_id,
        model_changes.new_mortality_model_id,
        model_changes.new_fcr_model_id,
        case
            when model_changes.change_day is null then 'no day'
            when model_changes.new_tgc_model_id is not null and tgc_models.tgc_model_id is null
                then 'TGC model is missing'
            when
                model_changes.new_mortality_model_id is not null
                and mortality_models.mortality_model_id is null
                then 'mortality model is missing'
        end as reject_reason,
        case
            when model_changes.new_tgc_model_id is not null and tgc_models.tgc_model_id is null
                then model_changes.new_tgc_model_id::text
            else model_changes.new_mortality_model_id::text
        end as reject_value
    from model_changes
    left join tgc_models on model_changes.new_tgc_model_id = tgc_models.tgc_model_id
    left join mortality_models
        on model_changes.new_mortality_model_id = mortality_models.mortality_model_id
)

select * from final
