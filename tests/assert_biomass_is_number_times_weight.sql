-- Biomass is number times weight; the published weight is rounded to 4 decimals, and the
-- biomass to 2.
select
    assignment_id,
    state_date,
    population,
    avg_weight_g,
    biomass_kg
from {{ ref('daily_assignment_states') }}
where
    (
        abs(biomass_kg - population * avg_weight_g / 1000)
        <= 0.005 + population * 0.00005 / 1000
    ) is not true
