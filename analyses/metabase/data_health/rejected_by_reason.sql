-- One row per table and reason: records that were not used.
select
    table_name || ': ' || reason as "Table and reason",
    count(*) as "Records"
from {{ ref('rejected_records') }}
group by table_name, reason
order by count(*) desc, table_name asc, reason asc
