{{ config(meta={'examined_by': ['batch_id']}) }}

with

source as (
    {{ source_rows('health_treatment') }}
),

renamed as (
    select
        -- keys
        id as treatment_id,
        batch_id,
        batch_assignment_id as assignment_id,
        container_id,
        sampling_event_id as health_sampling_event_id,

        -- properties
        treatment_type::text as treatment_type,
        includes_weighing,

        -- dates
        {{ local_date('treatment_date') }} as treatment_date
    from source
)

select * from renamed
