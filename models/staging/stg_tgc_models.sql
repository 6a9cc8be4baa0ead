with

source as (
    {{ source_rows('scenario_tgcmodel') }}
),

renamed as (
    select
        -- keys
        model_id as tgc_model_id,
        profile_id as temperature_profile_id,

        -- properties
        name::text as tgc_model_name,

        -- measures
        tgc_value,
        exponent_n,
        exponent_m
    from source
)

select * from renamed
