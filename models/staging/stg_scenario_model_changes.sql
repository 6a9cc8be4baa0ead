with

source as (
    {{ source_rows('scenario_scenariomodelchange') }}
),

renamed as (
    select
        -- keys
        change_id as scenario_model_change_id,
        scenario_id,
        new_tgc_model_id,
        new_fcr_model_id,
        new_mortality_model_id,

        -- dates
        change_day
    from source
)

select * from renamed
