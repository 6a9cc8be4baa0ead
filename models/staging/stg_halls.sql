with

source as (
    {{ source_rows('infrastructure_hall') }}
),

renamed as (
    select
        -- keys
        id as hall_id,
        freshwater_station_id,

        -- properties
        name::text as hall_name
    from source
)

select * from renamed
