-- One row per record that was not used, and reason.
select
    table_name as "Table",
    record_id as "Record",
    reason as "Reason",
    value as "Value"
from {{ ref('rejected_records') }}
order by table_name, reason, record_id
