-- One row: batches whose states do not follow their records.
select count(*) filter (where is_stale) as "Batches behind their records"
from {{ ref('state_freshness') }}
where batch_id in ({{ chosen_batches() }})
