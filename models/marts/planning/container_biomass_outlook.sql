-- One row per container in which fish stand: how much they are expected to weigh until they leave,
-- and when that is more than the container may hold.
{{ config(
    meta={
        'published_by': 'places',
        'published_also': 'examined',
        'places': {
            'model': 'int_outlook_containers',
            'stays': 'int_outlook_stays',
            'columns': ['container_id'],
        },
    },
    indexes=[
        {'columns': ['container_id'], 'unique': true},
    ],
) }}

with outlook_containers as (
    select * from {{ outdated_places('int_outlook_containers') }}
),

-- (An array, not a join: it reaches below the sums of the view.)
standing_biomass as (
    select * from {{ ref('int_standing_biomass') }}
    {%- if is_scoped() %}
    where container_id = any(array(select outlook_containers.container_id from outlook_containers))
    {%- endif %}
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
        container_id,
        state_date,
        standing_biomass_kg::numeric(14, 2) as standing_biomass_kg
    from standing_biomass
),

peaks as (
    select
        container_id,
        min(state_date) as first_date,
        max(standing_biomass_kg) as peak_biomass_kg
    from days
    group by container_id
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
        limited.container_id,
        limited.container_name,
        limited.volume_m3,
        limited.limit_kg,
        peaks.first_date,
        peaks.peak_biomass_kg,
        min(days.standing_biomass_kg) filter (where days.state_date = peaks.first_date)
            as standing_biomass_kg,
        min(days.state_date) filter (where days.standing_biomass_kg = peaks.peak_biomass_kg)
            as peak_date,
        min(days.state_date) filter (where days.standing_biomass_kg > limited.limit_kg)
            as first_date_over_limit
    from days
    inner join peaks on days.container_id = peaks.container_id
    inner join limited on days.container_id = limited.container_id
    group by
        limited.container_id,
        limited.container_name,
        limited.volume_m3,
        limited.limit_kg,
        peaks.first_date,
        peaks.peak_biomass_kg
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
        outlook.first_date_over_limit - outlook.first_date as days_to_limit,

        outlook_containers.inputs_hash
    from outlook
    inner join leaving on outlook.container_id = leaving.container_id
    inner join outlook_containers on outlook.container_id = outlook_containers.container_id
)

select * from final
