with

source as (
    {{ source_rows('scenario_scenarioprojection') }}
),

renamed as (
    select
        -- keys
        projection_id as projection_day_id,
        projection_run_id,
        current_stage_id as lifecycle_stage_id,

        -- dates
        projection_date,

        -- measures
        average_weight as avg_weight_g,
        population
    from source
)

select * from renamed
