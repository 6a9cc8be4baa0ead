{{ config(meta={'examined_by': ['batch_id']}) }}

with

source as (
    {{ source_rows('batch_batch') }}
),

renamed as (
    select
        -- keys
        id as batch_id,
        species_id,
        lifecycle_stage_id,
        pinned_projection_run_id,
        pinned_scenario_id,

        -- properties
        batch_number::text as batch_number,
        status::text as batch_status,
        batch_type::text as batch_type,

        -- dates
        start_date,
        expected_end_date,
        actual_end_date
    from source
)

select * from renamed
