-- One row per open assignment: where its fish stand, and from when on they are expected not to.
{{ config(
    meta={'published_by': 'batches', 'published_also': 'examined'},
    indexes=[
        {'columns': ['assignment_id'], 'unique': true},
        {'columns': ['batch_id']},
        {'columns': ['container_id']},
    ],
) }}

with starts as (
    select * from {{ pending('int_forecast_starts', 'batches') }}
),

dates as (
    select * from {{ pending('int_forecast_dates', 'batches') }}
),

container_sites as (
    select * from {{ ref('int_container_sites') }}
),

areas as (
    select * from {{ ref('stg_areas') }}
),

-- At sea fish stay in their pen until they are harvested; on land each stage has halls of its own.
-- Only areas have a limit.
final as (
    select
        starts.assignment_id,
        starts.batch_id,
        starts.container_id,
        container_sites.site_kind,
        container_sites.site_id,
        container_sites.site_name,
        nullif(areas.max_biomass_kg, 0) as site_max_biomass_kg,
        starts.computed_date,
        case
            when container_sites.site_kind = 'area' then dates.expected_harvest_date
            else least(dates.expected_transfer_date, dates.expected_harvest_date)
        end as leaving_date
    from starts
    inner join dates on starts.assignment_id = dates.assignment_id
    left join container_sites on starts.container_id = container_sites.container_id
    left join areas
        on container_sites.site_kind = 'area' and container_sites.site_id = areas.area_id
)

select * from final
