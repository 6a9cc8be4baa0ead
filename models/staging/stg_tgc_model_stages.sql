with

source as (
    {{ source_rows('scenario_tgc_model_stage') }}
),

renamed as (
    select
        -- keys
        id as tgc_model_stage_id,
        tgc_model_id,

        -- properties
        {{ fold_name('lifecycle_stage') }} as lifecycle_stage_key,

        -- measures
        tgc_value::double precision as tgc_value,
        temperature_exponent::double precision as exponent_n,
        weight_exponent::double precision as exponent_m
    from source
)

select * from renamed
