with

source as (
    {{ source_rows('scenario') }}
),

renamed as (
    select
        -- keys
        scenario_id,
        batch_id,
        tgc_model_id,
        fcr_model_id,
        mortality_model_id,
        biological_constraints_id as constraint_set_id,

        -- properties
        name::text as scenario_name,

        -- dates
        start_date,

        -- measures
        duration_days,
        initial_weight as initial_weight_g,
        initial_count::bigint as initial_count
    from source
)

select * from renamed
