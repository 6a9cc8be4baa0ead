with

source as (
    {{ source_rows('scenario_mortalitymodel') }}
),

renamed as (
    select
        -- keys
        model_id as mortality_model_id,

        -- properties
        name::text as mortality_model_name,
        frequency::text as frequency,

        -- measures
        rate as rate_percent
    from source
)

select * from renamed
