{{ config(meta={'examined_by': ['assignment_id']}) }}

with

source as (
    {{ source_rows('harvest_harvestevent') }}
),

renamed as (
    select
        -- keys
        id as harvest_event_id,
        assignment_id,
        batch_id,

        -- dates
        {{ local_date('event_date') }} as harvest_date
    from source
)

select * from renamed
