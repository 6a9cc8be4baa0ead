-- One row per day with measured lengths: condition factor of the sampled fish.
select
    state_date as "Date",
    condition_factor as "Condition factor",
    avg_weight_g as "Mean weight (g)",
    sample_size as "Fish sampled"
from {{ ref('growth_analysis') }}
where
    batch_id = ({{ chosen_batch() }})
    and container_id is not distinct from ({{ chosen_container() }})
    and series = 'sample'
    and condition_factor is not null
    {{ metabase_filter('dates') }}
order by state_date
