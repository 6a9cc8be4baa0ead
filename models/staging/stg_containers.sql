with

source as (
    {{ source_rows('infrastructure_container') }}
),

renamed as (
    select
        -- keys
        id as container_id,
        container_type_id,
        hall_id,
        area_id,
        parent_container_id,

        -- properties
        name::text as container_name,
        hierarchy_role::text as hierarchy_role,
        active as is_active,

        -- measures
        volume_m3,
        max_biomass_kg
    from source
)

select * from renamed
