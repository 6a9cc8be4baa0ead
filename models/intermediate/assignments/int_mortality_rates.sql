-- One row per mortality model and folded stage name (null: the model's own rate), as a daily
-- share of the fish that stay. A rate outside 0 to 100 % is not used. Where two names of one
-- model fold to the same key, the row with the lower id counts.
with mortality_models as (
    select * from {{ ref('stg_mortality_models') }}
),

mortality_model_stages as (
    select * from {{ ref('stg_mortality_model_stages') }}
),

stage_rates as (
    select distinct on (mortality_model_id, lifecycle_stage_key)
        mortality_model_id,
        lifecycle_stage_key,
        daily_rate_percent,
        weekly_rate_percent
    from mortality_model_stages
    order by mortality_model_id, lifecycle_stage_key, mortality_model_stage_id
),

model_rates as (
    select
        mortality_model_id,
        null::text as lifecycle_stage_key,
        case when frequency <> 'weekly' then rate_percent end as daily_rate_percent,
        case when frequency = 'weekly' then rate_percent end as weekly_rate_percent
    from mortality_models
),

rates as (
    select * from stage_rates
    union all
    select * from model_rates
),

final as (
    select
        mortality_model_id,
        lifecycle_stage_key,
        case
            when daily_rate_percent between 0 and 100 then daily_rate_percent / 100
            when weekly_rate_percent between 0 and 100
                then 1 - power(1 - weekly_rate_percent / 100, 1.0::double precision / 7)
        end as daily_mortality_rate
    from rates
)

select * from final
