with

source as (
    {{ source_rows('batch_mortalityevent') }}
),

renamed as (
    select
        -- keys
        id as mortality_event_id,
        batch_id,
        assignment_id,

        -- properties
        cause::text as cause,

        -- dates
        event_date,

        -- measures
        count::bigint as death_count
    from source
)

select * from renamed
