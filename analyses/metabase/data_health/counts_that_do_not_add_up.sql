-- One row per stay whose counts do not add up, the largest first.
select
    batch_number as "Batch",
    container_name as "Container",
    assignment_date as "From",
    departure_date as "To",
    stocking_source as "Stocked by",
    count_adjustment as "Adjusted (fish)",
    departure_count_adjustment as "On the departure day (fish)",
    departure_count_adjustment_percent as "On the departure day (%)",
    inferred_arrived_count as "Arrived unrecorded (fish)",
    remaining_count as "Never said to leave (fish)"
from {{ ref('population_reconciliation') }}
where
    batch_id in ({{ chosen_batches() }})
    and (
        count_adjustment != 0
        or departure_count_adjustment != 0
        or inferred_arrived_count > 0
        or remaining_count > 0
    )
order by
    greatest(
        abs(coalesce(count_adjustment, 0)),
        abs(coalesce(departure_count_adjustment, 0)),
        coalesce(remaining_count, 0)
    ) desc,
    assignment_id asc
limit 500
