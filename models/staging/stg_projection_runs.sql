with

source as (
    {{ source_rows('scenario_projection_run') }}
),

renamed as (
    select
        run_id as projection_run_id,
        scenario_id
    from source
)

select * from renamed
