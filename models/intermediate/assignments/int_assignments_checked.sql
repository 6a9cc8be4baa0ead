-- One row per raw assignment, with the reason why it is not used (null where it is).
{{ config(
    meta={'examined_by': ['batch_id', 'assignment_id']},
    indexes=[
        {'columns': ['batch_id']},
        {'columns': ['assignment_id']},
    ],
) }}

with assignments as (
    select * from {{ examined('stg_assignments') }}
),

batches as (
    select * from {{ examined('stg_batches') }}
),

lifecycle_stages as (
    select * from {{ ref('stg_lifecycle_stages') }}
),

harvest_events as (
    select * from {{ examined('stg_harvest_events') }}
),

last_harvests as (
    select
        assignments.assignment_id,
        max(harvest_events.harvest_date) as last_harvest_date
    from harvest_events
    inner join assignments on harvest_events.assignment_id = assignments.assignment_id
    where
        harvest_events.harvest_date >= assignments.assignment_date
        and harvest_events.harvest_date <= {{ last_known_date() }}
    group by assignments.assignment_id
),

-- The last day on which the assignment holds fish, as far as the records go; null while open.
ended as (
    select
        assignments.*,
        batches.batch_id is not null as has_batch,
        lifecycle_stages.lifecycle_stage_id is not null as has_lifecycle_stage,
        lifecycle_stages.species_id,
        batches.start_date as batch_start_date,
        case
            when assignments.departure_date is not null then assignments.departure_date - 1
            when not assignments.is_active and last_harvests.last_harvest_date is not null
                then last_harvests.last_harvest_date
            else batches.actual_end_date
        end as last_date
    from assignments
    left join batches on assignments.batch_id = batches.batch_id
    left join lifecycle_stages
        on assignments.lifecycle_stage_id = lifecycle_stages.lifecycle_stage_id
    left join last_harvests on assignments.assignment_id = last_harvests.assignment_id
),

possible as (
    select
        *,
        case
            when not has_batch then 'batch is missing'
            when not has_lifecycle_stage then 'lifecycle stage is missing'
            when assignment_date is null then 'no date'
            when
                not isfinite(assignment_date)
                or extract(year from assignment_date) < {{ growth_constant('earliest_year') }}
                then 'date out of range'
            when departure_date < assignment_date then 'departure before assignment'
            when departure_date is null and last_date < assignment_date
                then 'the batch ended before the assignment'
        end as reject_reason
    from ended
),

-- Of two stays of one batch in one container that overlap, the one that began first is used.
preceded as (
    select
        *,
        max(coalesce(last_date, 'infinity'::date)) over (
            partition by batch_id, container_id, reject_reason is null
            order by assignment_date, assignment_id
            rows between unbounded preceding and 1 preceding
        ) as previous_last_date
    from possible
),

final as (
    select
        assignment_id,
        batch_id,
        container_id,
        species_id,
        lifecycle_stage_id,
        assignment_date,
        departure_date,
        is_active,
        last_date,
        batch_start_date,
        population_count,
        avg_weight_g,
        case
            when reject_reason is not null then reject_reason
            when
                assignment_date <= previous_last_date
                and assignment_date <= coalesce(last_date, 'infinity'::date)
                then 'overlaps an earlier assignment of the batch to the container'
        end as reject_reason,
        case
            when not has_batch then batch_id::text
            when not has_lifecycle_stage then lifecycle_stage_id::text
            when departure_date < assignment_date then departure_date::text
            when departure_date is null and last_date < assignment_date then last_date::text
            else assignment_date::text
        end as reject_value
    from preceded
)

select * from final
