with

source as (
    {{ source_rows('scenario_mortality_model_stage') }}
),

renamed as (
    select
        -- keys
        id as mortality_model_stage_id,
        mortality_model_id,

        -- properties
        {{ fold_name('lifecycle_stage') }} as lifecycle_stage_key,

        -- measures
        daily_rate_percent::double precision as daily_rate_percent,
        weekly_rate_percent::double precision as weekly_rate_percent
    from source
)

select * from renamed
