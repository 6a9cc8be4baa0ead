-- One row per recorded death that its own checks let pass, but whose batch had no fish on that
-- day: only the recursion knows.
with recorded as (
    select
        *,
        bool_or(table_name = 'batch_mortalityevent') over (
            partition by is_for_batch, batch_id, assignment_id, event_date
        ) as has_mortality_event
    from {{ ref('int_recorded_deaths_checked') }}
    where reject_reason is null and event_date <= {{ as_of_date() }}
),

-- Health records count only where there is no mortality event, and no death is never wrong.
deaths as (
    select * from recorded
    where
        death_count > 0
        and (table_name = 'batch_mortalityevent' or not has_mortality_event)
),

growth_states as (
    select * from {{ ref('int_growth_states') }} where not is_in_transit
),

-- Where the assignment's own record was used, the flag is that of the batch's.
rejected_of_assignments as (
    select deaths.*
    from deaths
    inner join growth_states
        on
            deaths.assignment_id = growth_states.assignment_id
            and deaths.event_date = growth_states.state_date
    where
        growth_states.is_death_record_rejected
        and growth_states.mortality_source <> 'actual'
),

-- Recorded for the batch alone: no assignment of the batch could take them.
rejected_of_batches as (
    select *
    from deaths
    where
        is_for_batch
        and not exists (
            select 1 from growth_states
            where
                deaths.batch_id = growth_states.batch_id
                and deaths.event_date = growth_states.state_date
                and not growth_states.is_death_record_rejected
        )
),

rejected as (
    select * from rejected_of_assignments
    union all
    select * from rejected_of_batches
),

final as (
    select
        table_name,
        record_id,
        'the batch has no fish on that day' as reason,
        event_date::text as value
    from rejected
)

select * from final
