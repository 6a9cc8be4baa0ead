-- One row per site and month: the peak of its biomass against what it may hold.
select
    month_start_date as "Month",
    site_name as "Site",
    round(peak_biomass_kg / 1000, 1) as "Peak biomass (t)",
    peak_limit_percent as "Peak of limit (%)",
    days_over_limit as "Days over the limit"
from {{ ref('site_biomass_outlook') }}
order by month_start_date, site_name
