-- One row per container in which fish stand: a fingerprint of what its outlook follows from
-- besides their forecasts.
{{ config(materialized='view') }}

with stays as (
    select * from {{ ref('int_outlook_stays') }}
),

containers as (
    select * from {{ ref('containers') }}
),

outlook as (
    select max(computed_date) as first_date from stays
),

final as (
    select
        stays.container_id,
        hash_record_extended(
            row(
                outlook.first_date,
                containers.container_name,
                containers.volume_m3,
                containers.max_biomass_kg,
                array_agg(stays.assignment_id order by stays.assignment_id)
            ),
            0
        ) as inputs_hash
    from stays
    cross join outlook
    left join containers on stays.container_id = containers.container_id
    group by
        stays.container_id,
        outlook.first_date,
        containers.container_name,
        containers.volume_m3,
        containers.max_biomass_kg
)

select * from final
