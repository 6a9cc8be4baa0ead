with

source as (
    {{ source_rows('health_mortalityrecord') }}
),

renamed as (
    select
        -- keys
        id as mortality_record_id,
        batch_id,
        container_id,
        assignment_id,

        -- dates
        {{ local_date('event_date') }} as event_date,

        -- measures
        count::bigint as death_count
    from source
)

select * from renamed
