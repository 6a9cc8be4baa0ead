-- One row per completed transfer action: on which day its fish leave and arrive, and the reason
-- why it is not used (null where it is).
{{ config(
    meta={'examined_by': ['source_assignment_id', 'dest_assignment_id']},
    post_hook="{{ raise_if_tied('source_assignment_id', 'dest_assignment_id') }}",
    indexes=[
        {'columns': ['source_assignment_id']},
        {'columns': ['dest_assignment_id']},
    ],
) }}

with transfer_actions as (
    select * from {{ examined('stg_transfer_actions') }} where transfer_status = 'COMPLETED'
),

transfer_workflows as (
    select * from {{ ref('stg_transfer_workflows') }}
),

-- All of them: a transfer whose destination is gone concerns every run, its source another batch.
assignments as (
    select * from {{ ref('int_assignments') }}
),

-- A transfer executed shortly after its source's departure counts on the departure day; its
-- fish arrive then, or on the destination's first day where that is later.
dated as (
    select
        transfer_actions.*,
        transfer_workflows.planned_activity_id,
        sources.assignment_id is not null as has_source,
        destinations.assignment_id is not null as has_destination,
        sources.assignment_date as source_assignment_date,
        destinations.assignment_date as dest_assignment_date,
        destinations.departure_date as dest_departure_date,
        destinations.end_date as dest_end_date,
        case
            when sources.departure_date is null then sources.end_date
            else sources.departure_date + {{ var('inference_window_days') }}
        end as source_latest_date,
        least(transfer_actions.actual_execution_date, sources.departure_date) as departed_date
    from transfer_actions
    left join transfer_workflows
        on transfer_actions.transfer_workflow_id = transfer_workflows.transfer_workflow_id
    left join assignments as sources
        on transfer_actions.source_assignment_id = sources.assignment_id
    left join assignments as destinations
        on transfer_actions.dest_assignment_id = destinations.assignment_id
),

arriving as (
    select
        *,
        greatest(departed_date, dest_assignment_date) as arrived_date
    from dated
),

possible as (
    select
        *,
        case
            when actual_execution_date is null then 'completed without date'
            when not has_source then 'source is missing or rejected'
            when not has_destination then 'destination is missing or rejected'
            when source_assignment_id = dest_assignment_id then 'into itself'
            when transferred_count is null then 'no count'
            when transferred_count < 0 then 'negative count'
            when actual_execution_date > {{ last_known_date() }} then 'in the future'
            when actual_execution_date < source_assignment_date then 'before the source began'
            when actual_execution_date > source_latest_date then 'after the source ended'
            when actual_execution_date < dest_assignment_date then 'before the destination began'
            when
                arrived_date > dest_assignment_date
                and arrived_date >= coalesce(dest_departure_date, dest_end_date + 1)
                then 'after the destination ended'
        end as reject_reason
    from arriving
),

-- Within a day fish can only walk on from an assignment's own first day.
one_day_legs as (
    select distinct
        source_assignment_id,
        dest_assignment_id,
        departed_date
    from possible
    where reject_reason is null and departed_date = source_assignment_date
),

walks as (
    with recursive walk as (
        select
            source_assignment_id as start_assignment_id,
            dest_assignment_id as reached_assignment_id,
            departed_date
        from one_day_legs

        union

        select
            walk.start_assignment_id,
            one_day_legs.dest_assignment_id as reached_assignment_id,
            walk.departed_date
        from walk
        inner join one_day_legs
            on
                walk.reached_assignment_id = one_day_legs.source_assignment_id
                and walk.departed_date = one_day_legs.departed_date
    )

    select * from walk
),

final as (
    select
        possible.transfer_action_id,
        possible.source_assignment_id,
        possible.dest_assignment_id,
        possible.departed_date,
        possible.arrived_date,
        possible.planned_activity_id,
        case when possible.source_population_before >= 0 then possible.source_population_before end
            as source_population_before,
        possible.transferred_count,
        greatest(possible.mortality_during_transfer, 0) as mortality_during_transfer,
        case
            when {{ is_plausible_weight('possible.measured_avg_weight_g') }}
                then possible.measured_avg_weight_g
        end as measured_avg_weight_g,
        possible.measured_avg_weight_g as recorded_avg_weight_g,
        possible.measured_std_dev_weight_g,
        possible.measured_sample_size,
        coalesce(possible.selection_method, 'AVERAGE') as selection_method,
        case
            when possible.reject_reason is not null then possible.reject_reason
            when walks.start_assignment_id is not null then 'part of a cycle within one day'
        end as reject_reason,
        case
            when not possible.has_source then possible.source_assignment_id::text
            when
                not possible.has_destination
                or possible.source_assignment_id = possible.dest_assignment_id
                then possible.dest_assignment_id::text
            when possible.transferred_count < 0 then possible.transferred_count::text
            else possible.actual_execution_date::text
        end as reject_value
    from possible
    left join walks
        on
            possible.reject_reason is null
            and possible.dest_assignment_id = walks.start_assignment_id
            and possible.source_assignment_id = walks.reached_assignment_id
            and possible.departed_date = walks.departed_date
            and possible.departed_date = possible.source_assignment_date
)

select * from final
