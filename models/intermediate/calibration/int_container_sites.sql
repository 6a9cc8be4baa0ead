-- One row per container in a hall of a freshwater station or in a sea area: the site by which
-- growth is calibrated.
{{ config(materialized='view') }}

with containers as (
    select * from {{ ref('stg_containers') }}
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

in_areas as (
    select
        containers.container_id,
        'area' as site_kind,
        areas.area_id as site_id,
        areas.area_name as site_name
    from containers
    inner join areas on containers.area_id = areas.area_id
),

in_stations as (
    select
        containers.container_id,
        'station' as site_kind,
        freshwater_stations.freshwater_station_id as site_id,
        freshwater_stations.freshwater_station_name as site_name
    from containers
    inner join halls on containers.hall_id = halls.hall_id
    inner join freshwater_stations
        on halls.freshwater_station_id = freshwater_stations.freshwater_station_id
    where containers.area_id is null
),

final as (
    select * from in_areas

    union all

    select * from in_stations
)

select * from final
