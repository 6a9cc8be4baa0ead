-- One row per raw scenario, with the reason why it is not used (null where it is).
with scenarios as (
    select * from {{ ref('stg_scenarios') }}
),

tgc_models as (
    select * from {{ ref('stg_tgc_models') }}
),

mortality_models as (
    select * from {{ ref('stg_mortality_models') }}
),

final as (
    select
        scenarios.scenario_id,
        scenarios.scenario_name,
        scenarios.batch_id,
        scenarios.tgc_model_id,
        scenarios.mortality_model_id,
        scenarios.fcr_model_id,
        scenarios.constraint_set_id,
        tgc_models.temperature_profile_id,
        case
            when {{ is_plausible_weight('scenarios.initial_weight_g') }}
                then scenarios.initial_weight_g
        end as initial_weight_g,
        case
            when tgc_models.tgc_model_id is null then 'TGC model is missing'
            when mortality_models.mortality_model_id is null then 'mortality model is missing'
        end as reject_reason,
        case
            when tgc_models.tgc_model_id is null then scenarios.tgc_model_id::text
            else scenarios.mortality_model_id::text
        end as reject_value
    from scenarios
    left join tgc_models on scenarios.tgc_model_id = tgc_models.tgc_model_id
    left join mortality_models
        on scenarios.mortality_model_id = mortality_models.mortality_model_id
)

select * from final
