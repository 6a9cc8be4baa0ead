with

source as (
    {{ source_rows('scenario_fcrmodelstage') }}
),

renamed as (
    select
        -- keys
        id as fcr_model_stage_id,
        model_id as fcr_model_id,
        stage_id as lifecycle_stage_id,

        -- measures
        fcr_value as model_fcr
    from source
)

select * from renamed
