-- The months of the harvest outlook, and its quarters, hold every harvest and transfer that is
-- forecast once. (Biomass to the rounding of the weights and of the tonnes.)
with forecast as (
    select
        count(expected_harvest_date) as harvest_container_count,
        count(expected_transfer_date) as transfer_container_count,
        coalesce(sum(expected_harvest_population), 0) as harvest_population,
        coalesce(sum(expected_transfer_population), 0) as transfer_population,
        coalesce(sum(expected_harvest_biomass_kg), 0) as harvest_kg,
        coalesce(sum(expected_transfer_biomass_kg), 0) as transfer_kg
    from {{ ref('container_forecast') }}
),

outlook as (
    select
        period_types.period_type,
        count(*) as row_count,
        coalesce(sum(outlook.harvest_container_count), 0) as harvest_container_count,
        coalesce(sum(outlook.transfer_container_count), 0) as transfer_container_count,
        coalesce(sum(outlook.expected_harvest_population), 0) as harvest_population,
        coalesce(sum(outlook.expected_transfer_population), 0) as transfer_population,
        coalesce(sum(outlook.expected_harvest_tonnes), 0) as harvest_tonnes,
        coalesce(sum(outlook.expected_transfer_tonnes), 0) as transfer_tonnes
    from (values ('month'), ('quarter')) as period_types (period_type)
    left join {{ ref('harvest_outlook') }} as outlook
        on period_types.period_type = outlook.period_type
    group by period_types.period_type
)

select
    outlook.*,
    forecast.harvest_kg,
    forecast.transfer_kg
from outlook
cross join forecast
where
    outlook.harvest_container_count <> forecast.harvest_container_count
    or outlook.transfer_container_count <> forecast.transfer_container_count
    or outlook.harvest_population <> forecast.harvest_population
    or outlook.transfer_population <> forecast.transfer_population
    or abs(1000 * outlook.harvest_tonnes - forecast.harvest_kg)
    > 0.5 * outlook.row_count + 1e-6 * forecast.harvest_kg
    or abs(1000 * outlook.transfer_tonnes - forecast.transfer_kg)
    > 0.5 * outlook.row_count + 1e-6 * forecast.transfer_kg
