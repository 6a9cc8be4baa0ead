-- Over an assignment's whole life, in whole fish: what arrived, less what departed and died,
-- plus the adjustments, is the number on its last day; and what left on its departure day is
-- the sum of its kinds.
select
    assignment_id,
    arrived_count,
    departed_count,
    mortality_count,
    count_adjustment,
    last_population,
    departure_left_count
from {{ ref('population_reconciliation') }}
where
    coalesce(last_population, 0)
    <> arrived_count - departed_count - mortality_count + count_adjustment
    or stocked_count + inferred_arrived_count > arrived_count
    or inferred_departed_count > departed_count
    or departure_left_count <> departure_transferred_count
    + departure_inferred_count
    + departure_transfer_mortality_count
    + departure_harvested_count
    + departure_mortality_count
