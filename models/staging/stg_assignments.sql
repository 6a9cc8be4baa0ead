{{ config(meta={'examined_by': ['batch_id', 'assignment_id']}) }}

with

source as (
    {{ source_rows('batch_batchcontainerassignment') }}
),

renamed as (
    select
        -- keys
        id as assignment_id,
        batch_id,
        container_id,
        lifecycle_stage_id,

        -- properties
        is_active,

        -- dates
        assignment_date,
        departure_date,

        -- measures
        population_count::bigint as population_count,
        avg_weight_g::double precision as avg_weight_g
    from source
)

select * from renamed
