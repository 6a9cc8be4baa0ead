with

source as (
    {{ source_rows('inventory_feedingevent') }}
),

renamed as (
    select
        -- keys
        id as feeding_event_id,
        batch_id,
        batch_assignment_id as assignment_id,
        container_id,

        -- dates
        feeding_date,

        -- measures
        amount_kg
    from source
)

select * from renamed
