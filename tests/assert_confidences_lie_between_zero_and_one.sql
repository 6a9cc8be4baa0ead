-- Every figure has a confidence, from 0 to 1.
select
    assignment_id,
    state_date,
    temp_confidence,
    mortality_confidence,
    feed_confidence,
    weight_confidence,
    fcr_confidence
from {{ ref('daily_assignment_states') }}
where
    (
        temp_confidence between 0 and 1
        and mortality_confidence between 0 and 1
        and feed_confidence between 0 and 1
        and weight_confidence between 0 and 1
        and fcr_confidence between 0 and 1
    ) is not true
