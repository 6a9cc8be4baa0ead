{{ config(meta={'examined_by': ['harvest_event_id']}) }}

with

source as (
    {{ source_rows('harvest_harvestlot') }}
),

renamed as (
    select
        -- keys
        id as harvest_lot_id,
        event_id as harvest_event_id,

        -- measures
        unit_count::bigint as unit_count,
        live_weight_kg,
        gutted_weight_kg
    from source
)

select * from renamed
