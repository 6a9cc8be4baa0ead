-- One row per recorded death that its own checks let pass, but whose batch had no fish on that
-- day: only the recursion knows.
--
-- Found anew for all batches that a run examines, and not only where states have changed: a
-- death on a day without states changes none.
{{ config(
    meta={'published_by': 'batches', 'published_also': 'examined'},
    indexes=[
        {'columns': ['batch_id']},
    ],
) }}
{%- set assignments = ref('int_assignments') %}

with deaths as (
    select * from {{ ref('int_recorded_deaths_checked') }}
    where
        reject_reason is null
        {%- if is_scoped() %}
        -- arrays, not joins: they reach below the view's union
        and (
            recorded_batch_id = any(array(select pending_batches.batch_id from pending_batches))
            or recorded_assignment_id = any(array(
                select assignments.assignment_id
                from {{ assignments }} as assignments
                inner join pending_batches on assignments.batch_id = pending_batches.batch_id
            ))
        )
        {%- endif %}
        and event_date <= {{ as_of_date() }}
),

growth_states as not materialized (
    select * from {{ pending('int_growth_states', 'batches') }} where not is_in_transit
),

-- Where the assignment's own record was used, the flag is that of the batch's.
states_without_fish as (
    select
        assignment_id,
        state_date
    from growth_states
    where is_death_record_rejected and mortality_source <> 'actual'
),

of_assignments as (
    select deaths.*
    from deaths
    inner join states_without_fish
        on
            deaths.assignment_id = states_without_fish.assignment_id
            and deaths.event_date = states_without_fish.state_date
),

-- Recorded for the batch alone: no assignment of the batch could take them.
of_batches as (
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

without_fish as (
    select * from of_assignments
    union all
    select * from of_batches
),

compared as (
    select
        *,
        bool_or(table_name = 'batch_mortalityevent') over (
            partition by is_for_batch, batch_id, assignment_id, event_date
        ) as has_mortality_event
    from without_fish
),

-- Health records count only where there is no mortality event, and no death is never wrong.
final as (
    select
        batch_id,
        table_name,
        record_id,
        'the batch has no fish on that day' as reason,
        event_date::text as value
    from compared
    where
        death_count > 0
        and (table_name = 'batch_mortalityevent' or not has_mortality_event)
)

select * from {{ pending_rows('final', 'batches') }}
