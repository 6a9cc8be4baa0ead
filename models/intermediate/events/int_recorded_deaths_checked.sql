-- One row per raw death record of either table: the assignment it belongs to (null: recorded
-- for the batch alone), and the reason why it is not used (null where it is).
{{ config(
    materialized='view',
    meta={'examined_by': ['recorded_batch_id', 'recorded_assignment_id']},
) }}

-- (Read several times, and yet not kept apart: the planner knows how few they are.)
with assignments as not materialized (
    select * from {{ ref('int_assignments') }}
),

batches as (
    select * from {{ ref('stg_batches') }}
),

mortality_events as (
    select
        'batch_mortalityevent' as table_name,
        mortality_event_id as record_id,
        batch_id,
        assignment_id,
        null::bigint as container_id,
        event_date,
        death_count,
        cause
    from {{ ref('stg_mortality_events') }}
),

mortality_records as (
    select
        'health_mortalityrecord' as table_name,
        mortality_record_id as record_id,
        batch_id,
        assignment_id,
        container_id,
        event_date,
        death_count,
        null::text as cause
    from {{ ref('stg_mortality_records') }}
),

records as (
    select * from mortality_events
    union all
    select * from mortality_records
),

-- A record that names only a container belongs to the batch's assignment active there.
located as (
    select
        records.table_name,
        records.record_id,
        records.batch_id as recorded_batch_id,
        records.assignment_id as recorded_assignment_id,
        coalesce(assignments.batch_id, active_there.batch_id, records.batch_id) as batch_id,
        coalesce(assignments.assignment_id, active_there.assignment_id) as assignment_id,
        records.event_date,
        records.death_count,
        records.cause,
        batches.batch_id is not null as has_batch,
        records.assignment_id is null and records.container_id is null as is_for_batch,
        coalesce(assignments.assignment_date, active_there.assignment_date) as assignment_date,
        coalesce(assignments.end_date, active_there.end_date) as end_date
    from records
    left join assignments on records.assignment_id = assignments.assignment_id
    left join assignments as active_there
        on
            records.assignment_id is null
            and records.batch_id = active_there.batch_id
            and records.container_id = active_there.container_id
            and {{ is_active_on('records.event_date', 'active_there') }}
    left join batches on records.batch_id = batches.batch_id
),

final as (
    select
        table_name,
        record_id,
        recorded_batch_id,
        recorded_assignment_id,
        batch_id,
        assignment_id,
        event_date,
        death_count,
        cause,
        is_for_batch,
        case
            when death_count is null then 'no count'
            when death_count < 0 then 'negative count'
            when is_for_batch and not has_batch then 'batch is missing'
            when is_for_batch and event_date is null then 'no date'
            when is_for_batch and event_date > {{ last_known_date() }} then 'in the future'
            when is_for_batch then null
            {{ reject_unless_in_assignment('event_date', 'located') }}
        end as reject_reason,
        case
            when death_count is null or death_count < 0 then death_count::text
            else event_date::text
        end as reject_value
    from located
)

select * from final
