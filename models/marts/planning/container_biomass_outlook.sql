-- One row per container in which fish stand: how much they are expected to weigh until they leave,
-- and when that is more than the container may hold. A view over the days of the forecast.
{{ config(materialized='view') }}

with standing_biomass as (
    select * from {{ ref('int_standing_biomass') }}
),

stays as (
    select * from {{ ref('int_outlook_stays') }}
),

containers as (
    select * from {{ ref('containers') }}
),

limited as (
    select
        container_id,
        container_name,
        nullif(volume_m3, 0) as volume_m3,
        nullif(max_biomass_kg, 0) as limit_kg
    from containers
),

days as (
    select
        limited.container_id,
        limited.container_name,
        limited.volume_m3,
        limited.limit_kg,
        standing_biomass.state_date,
        standing_biomass.standing_biomass_kg::numeric(14, 2) as standing_biomass_kg
    from standing_biomass
    inner join limited on standing_biomass.container_id = limited.container_id
),

-- The last of them leave; unknown where that of one is.
leaving as (
    select
        container_id,
        site_kind,
        site_id,
        site_name,
        count(*) as assignment_count,
        case when count(*) = count(leaving_date) then max(leaving_date) end as leaving_date
    from stays
    group by container_id, site_kind, site_id, site_name
),

outlook as (
    select
        container_id,
        container_name,
        volume_m3,
        limit_kg,
        min(state_date) as first_date,
        (array_agg(standing_biomass_kg order by state_date))[1] as standing_biomass_kg,
        max(standing_biomass_kg) as peak_biomass_kg,
        (array_agg(state_date order by standing_biomass_kg desc, state_date asc))[1]
            as peak_date,
        min(state_date) filter (where standing_biomass_kg > limit_kg) as first_date_over_limit
    from days
    group by container_id, container_name, volume_m3, limit_kg
),

final as (
    select
        -- which
        outlook.container_id,
        outlook.container_name,
        leaving.site_kind,
        leaving.site_id,
        leaving.site_name,
        leaving.assignment_count,

        -- from when to when
        outlook.first_date,
        leaving.leaving_date,

        -- biomass
        outlook.standing_biomass_kg::numeric(14, 2) as standing_biomass_kg,
        outlook.peak_biomass_kg::numeric(14, 2) as peak_biomass_kg,
        outlook.peak_date,
        (outlook.peak_biomass_kg / outlook.volume_m3)::numeric(24, 4)
            as peak_density_kg_per_m3,

        -- against the limit
        outlook.limit_kg,
        (100 * outlook.peak_biomass_kg / outlook.limit_kg)::numeric(24, 2)
            as peak_limit_percent,
        outlook.first_date_over_limit,
        outlook.first_date_over_limit - outlook.first_date as days_to_limit
    from outlook
    inner join leaving on outlook.container_id = leaving.container_id
)

select * from final
