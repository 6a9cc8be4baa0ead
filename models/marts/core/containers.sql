-- One row per container, with where it stands and what it may hold.
{{ config(indexes=[{'columns': ['container_id'], 'unique': true}]) }}

with

containers as (
    select * from {{ ref('stg_containers') }}
),

container_types as (
    select * from {{ ref('stg_container_types') }}
),

halls as (
    select * from {{ ref('stg_halls') }}
),

freshwater_stations as (
    select * from {{ ref('stg_freshwater_stations') }}
),

areas as (
    select * from {{ ref('stg_areas') }}
),

geographies as (
    select * from {{ ref('stg_geographies') }}
),

final as (
    select
        -- keys
        containers.container_id,
        containers.parent_container_id,

        -- properties
        containers.container_name,
        container_types.container_type_name,
        container_types.container_category,
        containers.hierarchy_role,
        containers.is_active,

        -- place
        halls.hall_name,
        freshwater_stations.freshwater_station_name,
        areas.area_name,
        geographies.geography_name,

        -- limits
        containers.volume_m3::numeric(10, 2) as volume_m3,
        containers.max_biomass_kg::numeric(12, 2) as max_biomass_kg
    from containers
    left join container_types
        on containers.container_type_id = container_types.container_type_id
    left join halls on containers.hall_id = halls.hall_id
    left join freshwater_stations
        on halls.freshwater_station_id = freshwater_stations.freshwater_station_id
    left join areas on containers.area_id = areas.area_id
    left join geographies
        on coalesce(areas.geography_id, freshwater_stations.geography_id) = geographies.geography_id
)

select * from final
