with

source as (
    {{ source_rows('infrastructure_area') }}
),

renamed as (
    select
        -- keys
        id as area_id,
        geography_id,

        -- properties
        name::text as area_name,

        -- measures
        max_biomass as max_biomass_kg
    from source
)

select * from renamed
