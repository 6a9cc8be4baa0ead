-- One row per batch and run that changed what had been published, the newest 500.
select
    restated_at as "At",
    batch_number as "Batch",
    from_date as "From day",
    day_count as "Days",
    reasons as "Why",
    change_avg_weight_percent as "Weight, last day (%)",
    change_population_percent as "Number, last day (%)",
    change_biomass_percent as "Biomass, last day (%)",
    largest_biomass_change_kg as "Largest change of biomass (kg)",
    largest_biomass_change_date as "Largest on"
from {{ ref('restatements') }}
where batch_id in ({{ chosen_batches() }})
order by restated_at desc, batch_number asc
limit 500
