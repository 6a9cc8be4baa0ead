-- One row per assignment and day with deaths recorded for it: the mortality events' sum, else
-- the health records' (a farm that keeps both writes the same fish twice).
{{ config(
    meta={
        'examined_by': ['assignment_id'],
        'examined_days': {'column': 'event_date', 'frame': 'assignments'},
    },
    indexes=[
        {'columns': ['assignment_id', 'event_date'], 'unique': true},
    ],
) }}

with deaths as (
    select * from {{ examined('int_recorded_deaths_checked') }}
    where
        reject_reason is null
        and not is_for_batch{{ and_examined(['assignment_id'], 'event_date') }}
),

by_table as (
    select
        assignment_id,
        event_date,
        sum(death_count) filter (where table_name = 'batch_mortalityevent') as event_count,
        sum(death_count) filter (where table_name = 'health_mortalityrecord') as record_count
    from deaths
    group by assignment_id, event_date
),

final as (
    select
        assignment_id,
        event_date,
        coalesce(event_count, record_count)::bigint as recorded_deaths
    from by_table
)

select * from final
