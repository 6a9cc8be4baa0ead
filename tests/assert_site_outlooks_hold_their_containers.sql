-- In a month a site holds, on its fullest day, at least what any of its containers holds on its
-- own fullest day in that month, and at most all containers together at their fullest.
with container_biomass_outlook as (
    select * from {{ ref('container_biomass_outlook') }}
),

totals as (
    select
        site_kind,
        site_id,
        count(*) as container_count,
        sum(peak_biomass_kg) as all_peaks_kg
    from container_biomass_outlook
    group by site_kind, site_id
),

fullest as (
    select
        site_kind,
        site_id,
        date_trunc('month', peak_date)::date as month_start_date,
        max(peak_biomass_kg) as highest_peak_kg
    from container_biomass_outlook
    group by site_kind, site_id, date_trunc('month', peak_date)::date
)

select
    sites.site_kind,
    sites.site_id,
    sites.month_start_date,
    sites.peak_biomass_kg,
    fullest.highest_peak_kg,
    totals.all_peaks_kg
from {{ ref('site_biomass_outlook') }} as sites
left join totals
    on
        sites.site_kind = totals.site_kind
        and sites.site_id = totals.site_id
left join fullest
    on
        sites.site_kind = fullest.site_kind
        and sites.site_id = fullest.site_id
        and sites.month_start_date = fullest.month_start_date
where
    -- (each container is rounded to 0.01 kg)
    (
        sites.peak_biomass_kg <= totals.all_peaks_kg + 0.01 * totals.container_count
        and sites.container_count <= totals.container_count
        and coalesce(sites.peak_biomass_kg >= fullest.highest_peak_kg, true)
    ) is not true
