-- One row per batch: the newest record of any kind that is used, up to the as-of date. Kept as a
-- table, so that the view state_freshness need not look through all records to tell it.
{{ config(
    meta={'examined_by': ['batch_id']},
    indexes=[
        {'columns': ['batch_id'], 'unique': true},
    ],
) }}

with batches as (
    select * from {{ examined('stg_batches') }}
),

assignments as (
    select * from {{ examined('int_assignments') }}
),

-- What is recorded by the thousands is looked up from the last day backwards, by index.
recorded_days as (
    select
        assignment_id,
        (
            select max(days.state_date) from {{ ref('int_growth_inputs') }} as days
            where
                assignments.assignment_id = days.assignment_id
                and days.temp_source = 'measured'
        ) as last_reading_date,
        (
            select max(days.state_date) from {{ ref('int_growth_inputs') }} as days
            where
                assignments.assignment_id = days.assignment_id
                and days.recorded_deaths is not null
        ) as last_deaths_date,
        (
            select max(days.state_date) from {{ ref('int_growth_inputs') }} as days
            where
                assignments.assignment_id = days.assignment_id
                and (days.feed_kg is not null or days.container_feed_kg is not null)
        ) as last_feed_date
    from assignments
),

of_assignments as (
    select
        'assignment' as event_kind,
        assignment_id,
        assignment_date as event_date
    from assignments

    union all

    select
        'departure' as event_kind,
        assignment_id,
        departure_date as event_date
    from assignments
    where departure_date is not null

    union all

    select
        'delivery' as event_kind,
        assignment_id,
        arrived_date as event_date
    from {{ examined('int_creation_actions_checked') }}
    where reject_reason is null

    union all

    select
        'transfer' as event_kind,
        source_assignment_id as assignment_id,
        departed_date as event_date
    from {{ examined('int_transfer_actions_checked') }}
    where reject_reason is null

    union all

    select
        'transfer' as event_kind,
        dest_assignment_id as assignment_id,
        arrived_date as event_date
    from {{ examined('int_transfer_actions_checked') }}
    where reject_reason is null

    union all

    select
        'harvest' as event_kind,
        assignment_id,
        harvest_date as event_date
    from {{ examined('int_harvest_lots_checked') }}
    where reject_reason is null

    union all

    select
        'growth_sample' as event_kind,
        assignment_id,
        sample_date as event_date
    from {{ examined('int_growth_samples_checked') }}
    where reject_reason is null

    union all

    select
        'health_sampling' as event_kind,
        assignment_id,
        sampling_date as event_date
    from {{ examined('int_health_samplings') }}

    union all

    select
        'manual_anchor' as event_kind,
        assignment_id,
        anchor_date as event_date
    from {{ examined('int_manual_anchors_checked') }}
    where reject_reason is null

    union all

    select
        'temperature_reading' as event_kind,
        assignment_id,
        last_reading_date as event_date
    from recorded_days

    union all

    select
        'deaths' as event_kind,
        assignment_id,
        last_deaths_date as event_date
    from recorded_days

    union all

    select
        'feeding' as event_kind,
        assignment_id,
        last_feed_date as event_date
    from recorded_days
),

of_batches as (
    select
        of_assignments.event_kind,
        assignments.batch_id,
        of_assignments.event_date
    from of_assignments
    inner join assignments on of_assignments.assignment_id = assignments.assignment_id

    union all

    select
        'deaths' as event_kind,
        batch_id,
        event_date
    from {{ examined('int_batch_day_deaths') }}

    union all

    select
        'treatment' as event_kind,
        batch_id,
        treatment_date as event_date
    from {{ examined('stg_treatments') }}
),

newest as (
    select
        event_kind,
        batch_id,
        max(event_date) as event_date
    from of_batches
    where event_date <= {{ as_of_date() }}
    group by event_kind, batch_id
),

newest_of_any_kind as (
    select distinct on (batch_id)
        batch_id,
        event_kind,
        event_date
    from newest
    order by batch_id asc, event_date desc, event_kind asc
),

final as (
    select
        batches.batch_id,
        batches.batch_number,
        newest_of_any_kind.event_kind as newest_event_kind,
        newest_of_any_kind.event_date as newest_event_date
    from batches
    left join newest_of_any_kind on batches.batch_id = newest_of_any_kind.batch_id
)

select * from final
