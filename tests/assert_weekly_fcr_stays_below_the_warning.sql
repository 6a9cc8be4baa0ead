-- A batch that needs more feed per gain over a week than the var `fcr_warn` is worth a look:
-- feed booked on another batch, deaths not recorded, or fish that did not grow.
{{ config(severity='warn') }}

select
    batch_number,
    week_start_date,
    feed_kg,
    gain_kg,
    observed_fcr
from {{ ref('weekly_batch_states') }}
where observed_fcr > {{ var('fcr_warn') }}
