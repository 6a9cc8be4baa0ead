with

source as (
    {{ source_rows('infrastructure_freshwaterstation') }}
),

renamed as (
    select
        -- keys
        id as freshwater_station_id,
        geography_id,

        -- properties
        name::text as freshwater_station_name
    from source
)

select * from renamed
