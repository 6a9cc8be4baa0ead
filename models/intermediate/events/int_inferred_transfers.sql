-- One row per source and destination of a transfer that nobody recorded (growth model,
-- section 5): fish do not appear from nowhere while others of their batch depart.
{{ config(
    meta={'examined_by': ['source_assignment_id', 'dest_assignment_id']},
    indexes=[
        {'columns': ['source_assignment_id']},
        {'columns': ['dest_assignment_id']},
    ],
) }}

with assignments as (
    select * from {{ examined('int_assignments') }}
),

rebuilt_counts as (
    select * from {{ examined('int_rebuilt_counts') }}
),

transfers as (
    select * from {{ examined('int_transfer_actions_checked') }} where reject_reason is null
),

creation_actions as (
    select * from {{ examined('int_creation_actions_checked') }} where reject_reason is null
),

harvests as (
    select * from {{ examined('int_harvest_lots_checked') }} where reject_reason is null
),

newcomers as (
    select
        assignments.assignment_id,
        assignments.batch_id,
        assignments.assignment_date,
        rebuilt_counts.rebuilt_count,
        coalesce(assignments.departure_date <= {{ last_known_date() }}, false)
        and rebuilt_counts.rebuilt_from = 'population_count' as is_count_unknown
    from assignments
    inner join rebuilt_counts on assignments.assignment_id = rebuilt_counts.assignment_id
    where
        not exists (
            select 1 from creation_actions
            where creation_actions.assignment_id = assignments.assignment_id
        )
        and not exists (
            select 1 from transfers
            where
                transfers.dest_assignment_id = assignments.assignment_id
                and transfers.arrived_date = assignments.assignment_date
        )
        -- A stop without days that nobody was seen to leave, either, held no fish.
        and (
            assignments.departure_date is null
            or assignments.departure_date > assignments.assignment_date
            or rebuilt_counts.rebuilt_from = 'transfer_out'
        )
),

-- A departing source serves the first day on which its batch has newcomers.
sources as (
    select
        assignments.assignment_id,
        assignments.batch_id,
        assignments.departure_date,
        min(newcomers.assignment_date) as arrived_date
    from assignments
    inner join newcomers
        on
            assignments.batch_id = newcomers.batch_id
            and assignments.assignment_id <> newcomers.assignment_id
            and assignments.departure_date
            between newcomers.assignment_date - {{ var('inference_window_days') }}
            and newcomers.assignment_date
    where assignments.departure_date > assignments.assignment_date
    group by assignments.assignment_id, assignments.batch_id, assignments.departure_date
),

left_by_transfer as (
    select
        source_assignment_id as assignment_id,
        (array_agg(source_population_before order by departed_date, transfer_action_id))[1]
            as first_population_before,
        min(departed_date) as first_departed_date,
        sum(transferred_count + {{ accepted_transfer_mortality() }})::bigint as left_count
    from transfers
    group by source_assignment_id
),

-- A harvest before the first transfer is not in that transfer's source_population_before.
harvested_since as (
    select
        left_by_transfer.assignment_id,
        sum(harvests.fish_count)::bigint as harvested_count
    from left_by_transfer
    inner join harvests
        on
            left_by_transfer.assignment_id = harvests.assignment_id
            and left_by_transfer.first_departed_date <= harvests.harvest_date
    group by left_by_transfer.assignment_id
),

-- What nobody saw leave. Of a source that ended by harvest nothing is known to be left.
remainders as (
    select
        sources.*,
        greatest(
            case
                when left_by_transfer.first_population_before is not null
                    then
                        left_by_transfer.first_population_before
                        - left_by_transfer.left_count
                        - coalesce(harvested_since.harvested_count, 0)
                when rebuilt_counts.rebuilt_from = 'harvest' then 0
                else rebuilt_counts.rebuilt_count - coalesce(left_by_transfer.left_count, 0)
            end,
            0
        ) as left_over
    from sources
    inner join rebuilt_counts on sources.assignment_id = rebuilt_counts.assignment_id
    left join left_by_transfer on sources.assignment_id = left_by_transfer.assignment_id
    left join harvested_since on sources.assignment_id = harvested_since.assignment_id
),

offers as (
    select
        batch_id,
        arrived_date,
        sum(left_over)::bigint as offered_count
    from remainders
    group by batch_id, arrived_date
),

covered as (
    select
        newcomers.*,
        offers.offered_count,
        count(*) over by_day as newcomer_count,
        row_number() over (by_day order by newcomers.assignment_id) as newcomer_rank,
        sum(newcomers.rebuilt_count) over by_day as wanted_count
    from newcomers
    inner join offers
        on
            newcomers.batch_id = offers.batch_id
            and newcomers.assignment_date = offers.arrived_date
    window by_day as (partition by newcomers.batch_id, newcomers.assignment_date)
),

received as (
    select
        *,
        case
            when is_count_unknown
                then
                    offered_count / newcomer_count
                    + case
                        when newcomer_rank <= offered_count % newcomer_count then 1
                        else 0
                    end
            else rebuilt_count
        end as received_count
    from covered
    where offered_count > 0 and offered_count >= {{ var('min_inferred_cover') }} * wanted_count
),

divided as (
    select
        remainders.assignment_id as source_assignment_id,
        received.assignment_id as dest_assignment_id,
        remainders.departure_date as departed_date,
        received.assignment_date as arrived_date,
        received.received_count,
        received.received_count * remainders.left_over / received.offered_count as whole,
        received.received_count * remainders.left_over % received.offered_count as remainder
    from received
    inner join remainders
        on
            received.batch_id = remainders.batch_id
            and received.assignment_date = remainders.arrived_date
),

shared as (
    select
        source_assignment_id,
        dest_assignment_id,
        departed_date,
        arrived_date,
        ({{ whole_share(
            'received_count', 'whole', 'remainder', 'dest_assignment_id', 'source_assignment_id'
        ) }})::bigint as fish_count
    from divided
),

-- From a source whose share is less than half a fish nothing is inferred.
final as (
    select * from shared where fish_count > 0
)

select * from final
