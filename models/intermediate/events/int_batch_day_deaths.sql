-- One row per batch and day with deaths recorded for the batch alone: the mortality events'
-- sum, else the health records'.
{{ config(
    meta={'examined_by': ['batch_id']},
    indexes=[
        {'columns': ['batch_id']},
    ],
) }}

with deaths as (
    select * from {{ examined('int_recorded_deaths_checked') }}
    where reject_reason is null and is_for_batch
),

by_table as (
    select
        batch_id,
        event_date,
        sum(death_count) filter (where table_name = 'batch_mortalityevent') as event_count,
        sum(death_count) filter (where table_name = 'health_mortalityrecord') as record_count
    from deaths
    group by batch_id, event_date
),

final as (
    select
        batch_id,
        event_date,
        coalesce(event_count, record_count)::bigint as batch_deaths
    from by_table
)

select * from final
