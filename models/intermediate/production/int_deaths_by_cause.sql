-- One row per assignment, month and cause: the deaths of its days, and of its departure day, and
-- what the dead fish weighed. The deaths of a day are those of its state: own records with their
-- causes, then the share of what was recorded for the batch alone, over the causes of that record
-- (whole fish, largest remainder, ties to the first cause by name), or what the model expected.
--
-- Found anew for all batches that a run examines, and not only where states have changed: another
-- cause changes none. (Of how many records pass their checks the planner knows nothing, and would
-- go through all of them for each day.)
{{ config(
    meta={'published_by': 'batches', 'published_also': 'examined'},
    indexes=[
        {'columns': ['batch_id']},
    ],
    pre_hook='set local enable_nestloop = off',
) }}
{%- set assignments = ref('int_assignments') %}

with deaths as (
    select
        table_name,
        batch_id,
        assignment_id,
        event_date,
        death_count,
        is_for_batch,
        coalesce(nullif(trim(cause), ''), 'UNKNOWN') as known_cause
    from {{ ref('int_recorded_deaths_checked') }}
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

growth_states as (
    select * from {{ pending('int_growth_states', 'batches') }}
    where mortality_count > 0 and not is_in_transit
),

ends as (
    select * from {{ pending('int_assignment_ends', 'batches') }} where mortality_count > 0
),

died as {{ 'materialized' if is_scoped() else 'not materialized' }} (
    select
        batch_id,
        assignment_id,
        state_date,
        mortality_source,
        mortality_count,
        modelled_weight_g as weight_g
    from growth_states

    union all

    select
        batch_id,
        assignment_id,
        state_date,
        'actual' as mortality_source,
        mortality_count,
        weight_g
    from ends
),

-- Health records count only where there is no mortality event, be it one of 0 deaths.
used_deaths as (
    select * from deaths where table_name = 'batch_mortalityevent' and death_count > 0

    union all

    select records.*
    from deaths as records
    where
        records.table_name = 'health_mortalityrecord'
        and records.death_count > 0
        and not exists (
            select 1 from deaths as events
            where
                events.table_name = 'batch_mortalityevent'
                and events.is_for_batch = records.is_for_batch
                and events.batch_id = records.batch_id
                and events.assignment_id is not distinct from records.assignment_id
                and events.event_date = records.event_date
        )
),

own_deaths as (
    select
        died.batch_id,
        died.assignment_id,
        died.state_date,
        used_deaths.known_cause as cause,
        used_deaths.death_count,
        died.weight_g
    from died
    inner join used_deaths
        on
            died.assignment_id = used_deaths.assignment_id
            and died.state_date = used_deaths.event_date
    where died.mortality_source in ('actual', 'prorated') and not used_deaths.is_for_batch
),

batch_causes as (
    select
        batch_id,
        event_date,
        known_cause as cause,
        sum(death_count)::bigint as death_count,
        (sum(sum(death_count)) over (partition by batch_id, event_date))::bigint as total_count
    from used_deaths
    where is_for_batch
    group by batch_id, event_date, known_cause
),

own_days as (
    select
        died.assignment_id,
        died.state_date,
        sum(used_deaths.death_count)::bigint as death_count
    from died
    inner join used_deaths
        on
            died.assignment_id = used_deaths.assignment_id
            and died.state_date = used_deaths.event_date
    where died.mortality_source = 'prorated' and not used_deaths.is_for_batch
    group by died.assignment_id, died.state_date
),

-- What is left of the day's deaths is the share of the batch's record.
shares as (
    select
        died.batch_id,
        died.assignment_id,
        died.state_date,
        died.weight_g,
        died.mortality_count - coalesce(own_days.death_count, 0) as share_count
    from died
    left join own_days
        on
            died.assignment_id = own_days.assignment_id
            and died.state_date = own_days.state_date
    where died.mortality_source = 'prorated'
),

sharing as (
    select
        shares.*,
        batch_causes.cause,
        shares.share_count * batch_causes.death_count / batch_causes.total_count as whole,
        shares.share_count * batch_causes.death_count % batch_causes.total_count as remainder
    from shares
    inner join batch_causes
        on
            shares.batch_id = batch_causes.batch_id
            and shares.state_date = batch_causes.event_date
),

shared_deaths as (
    select
        batch_id,
        assignment_id,
        state_date,
        cause,
        ({{ whole_share(
            'share_count', 'whole', 'remainder', 'assignment_id, state_date', 'cause'
        ) }})::bigint as death_count,
        weight_g
    from sharing
),

expected_deaths as (
    select
        batch_id,
        assignment_id,
        state_date,
        'NOT_RECORDED' as cause,
        mortality_count as death_count,
        weight_g
    from died
    where mortality_source not in ('actual', 'prorated')
),

by_day as (
    select * from own_deaths
    union all
    select * from shared_deaths
    union all
    select * from expected_deaths
),

final as (
    select
        batch_id,
        assignment_id,
        date_trunc('month', state_date)::date as month_start_date,
        cause,
        sum(death_count)::bigint as mortality_count,
        sum((death_count * weight_g / 1000)::numeric) as mortality_biomass_kg
    from by_day
    where death_count > 0
    group by batch_id, assignment_id, date_trunc('month', state_date)::date, cause
)

select * from final
