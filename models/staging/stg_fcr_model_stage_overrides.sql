with

source as (
    {{ source_rows('scenario_fcr_model_stage_override') }}
),

renamed as (
    select
        -- keys
        id as fcr_model_stage_override_id,
        fcr_stage_id as fcr_model_stage_id,

        -- measures
        min_weight_g::double precision as min_weight_g,
        max_weight_g::double precision as max_weight_g,
        fcr_value::double precision as model_fcr
    from source
)

select * from renamed
