-- One row per scenario record, or value of a parameter, that cannot be true. They belong to no
-- batch: all of them are looked at in every run.
with rejected as (
    select
        'scenario' as table_name,
        scenario_id as record_id,
        reject_reason as reason,
        reject_value as value
    from {{ ref('int_scenarios_checked') }}
    where reject_reason is not null

    union all

    select
        'scenario_scenariomodelchange' as table_name,
        scenario_model_change_id as record_id,
        reject_reason as reason,
        reject_value as value
    from {{ ref('int_scenario_model_changes_checked') }}
    where reject_reason is not null
),

scenario_weights as (
    select
        'scenario' as table_name,
        scenario_id as record_id,
        'weight out of range' as reason,
        initial_weight_g::text as value
    from {{ ref('stg_scenarios') }}
    where initial_weight_g is not null and not {{ is_plausible_weight('initial_weight_g') }}
),

profile_temperatures as (
    select
        'scenario_temperaturereading' as table_name,
        temperature_profile_day_id as record_id,
        'temperature out of range' as reason,
        temp_c::text as value
    from {{ ref('stg_temperature_profile_days') }}
    where
        temp_c is not null
        and temp_c not between {{ plausible('temp', 'min_value') }}
        and {{ plausible('temp', 'max_value') }}
),

tgc_models as (
    select
        'scenario_tgcmodel' as table_name,
        tgc_model_id as record_id,
        'TGC out of range' as reason,
        tgc_value::text as value
    from {{ ref('stg_tgc_models') }}
    where tgc_value is not null and {{ plausible_tgc('tgc_value') }} is null
),

tgc_model_stages as (
    select
        'scenario_tgc_model_stage' as table_name,
        tgc_model_stage_id as record_id,
        'TGC out of range' as reason,
        tgc_value::text as value
    from {{ ref('stg_tgc_model_stages') }}
    where tgc_value is not null and {{ plausible_tgc('tgc_value') }} is null
),

fcr_values as (
    select
        'scenario_fcrmodelstage' as table_name,
        fcr_model_stage_id as record_id,
        model_fcr
    from {{ ref('stg_fcr_model_stages') }}

    union all

    select
        'scenario_fcr_model_stage_override' as table_name,
        fcr_model_stage_override_id as record_id,
        model_fcr
    from {{ ref('stg_fcr_model_stage_overrides') }}
),

fcr_models as (
    select
        table_name,
        record_id,
        'FCR out of range' as reason,
        model_fcr::text as value
    from fcr_values
    where
        model_fcr is not null
        and model_fcr not between {{ plausible('fcr', 'min_value') }}
        and {{ plausible('fcr', 'max_value') }}
),

final as (
    select * from rejected
    union all
    select * from scenario_weights
    union all
    select * from profile_temperatures
    union all
    select * from tgc_models
    union all
    select * from tgc_model_stages
    union all
    select * from fcr_models
)

select * from final
