-- One row per refresh. A view, because it must be live: a refresh that runs, or has died, is to be
-- seen at once, and not once dbt has come by. The table under it is never swapped.
{{ config(materialized='view') }}

with refreshes as (
    select * from {{ source('ops', 'refresh_log') }}
),

batches as (
    select * from {{ ref('batches') }}
),

batch_numbers as (
    select
        refreshes.refresh_id,
        string_agg(
            coalesce(batches.batch_number, 'batch ' || ids.batch_id),
            ', ' order by batches.batch_number, ids.batch_id
        ) as batch_numbers
    from refreshes
    cross join lateral unnest(refreshes.batch_ids) as ids (batch_id)
    left join batches on ids.batch_id = batches.batch_id
    group by refreshes.refresh_id
),

final as (
    select
        -- which
        refreshes.refresh_id,
        refreshes.invocation_id,

        -- when
        refreshes.started_at,
        refreshes.ended_at,
        extract(epoch from refreshes.ended_at - refreshes.started_at)::numeric(12, 3)
            as duration_seconds,

        -- of what, and why
        refreshes.mode,
        refreshes.reason,
        cardinality(refreshes.batch_ids) as batch_count,
        batch_numbers.batch_numbers,

        -- how it ended
        refreshes.outcome,
        refreshes.assignment_count,
        refreshes.row_count,
        refreshes.from_date,
        refreshes.error
    from refreshes
    left join batch_numbers on refreshes.refresh_id = batch_numbers.refresh_id
)

select * from final
