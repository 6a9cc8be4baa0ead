-- One row per container with fish: its biomass now and at its peak, against what it may hold.
select
    site_name as "Site",
    container_name as "Container",
    round(standing_biomass_kg / 1000, 1) as "Biomass now (t)",
    round(peak_biomass_kg / 1000, 1) as "Biomass at its peak (t)",
    peak_date as "Peak on",
    round(limit_kg / 1000, 1) as "Limit (t)",
    peak_limit_percent as "Peak of limit (%)",
    peak_density_kg_per_m3 as "Density at its peak (kg/m³)",
    first_date_over_limit as "Over its limit from",
    days_to_limit as "Days until then"
from {{ ref('container_biomass_outlook') }}
order by days_to_limit asc nulls last, peak_limit_percent desc nulls last, container_name asc
