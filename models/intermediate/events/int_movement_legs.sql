-- One row per recorded or inferred movement of fish, as it happened: who leaves whom on which
-- day, who arrives where. One-day chains are still in their legs.
{{ config(
    meta={'examined_by': ['from_assignment_id', 'to_assignment_id']},
    indexes=[
        {'columns': ['from_assignment_id']},
        {'columns': ['to_assignment_id']},
    ],
) }}

with stocking as (
    select * from {{ examined('int_stocking') }}
),

creation_actions as (
    select
        'stocking' as movement_type,
        null::bigint as from_assignment_id,
        creation_actions.assignment_id as to_assignment_id,
        creation_actions.arrived_date as departed_date,
        creation_actions.arrived_date,
        creation_actions.fish_count,
        stocking.start_weight_g as weight_g,
        'batch_creationaction' as raw_table,
        creation_actions.creation_action_id as record_id
    from {{ examined('int_creation_actions_checked', 'creation_actions') }}
    inner join stocking on creation_actions.assignment_id = stocking.assignment_id
    where creation_actions.reject_reason is null
),

rebuilt as (
    select
        'stocking' as movement_type,
        null::bigint as from_assignment_id,
        assignment_id as to_assignment_id,
        assignment_date as departed_date,
        assignment_date as arrived_date,
        rebuilt_count as fish_count,
        start_weight_g as weight_g,
        'batch_batchcontainerassignment' as raw_table,
        assignment_id as record_id
    from stocking
    where stocking_source = 'rebuilt'
),

transfer_actions as (
    select
        *,
        source_assignment_id in (
            select inferred_transfers.source_assignment_id
            from {{ examined('int_inferred_transfers', 'inferred_transfers') }}
        ) as is_source_inferred
    from {{ examined('int_transfer_actions_checked') }}
    where reject_reason is null
),

-- An excluded measurement is not used for the fish that moved, either.
excluded_weighings as (
    select record_id
    from {{ ref('stg_anchor_exclusions') }}
    where anchor_type = 'transfer'
),

transfers as (
    select
        'transfer' as movement_type,
        source_assignment_id as from_assignment_id,
        dest_assignment_id as to_assignment_id,
        departed_date,
        arrived_date,
        transferred_count as fish_count,
        case
            when transfer_action_id not in (
                select excluded_weighings.record_id from excluded_weighings
            ) then measured_avg_weight_g
        end as weight_g,
        'batch_transferaction' as raw_table,
        transfer_action_id as record_id
    from transfer_actions
),

transfer_mortality as (
    select
        'transfer_mortality' as movement_type,
        source_assignment_id as from_assignment_id,
        null::bigint as to_assignment_id,
        departed_date,
        departed_date as arrived_date,
        {{ accepted_transfer_mortality() }} as fish_count,
        null::double precision as weight_g,
        'batch_transferaction' as raw_table,
        transfer_action_id as record_id
    from transfer_actions
    where not is_source_inferred
),

inferred as (
    select
        'inferred' as movement_type,
        source_assignment_id as from_assignment_id,
        dest_assignment_id as to_assignment_id,
        departed_date,
        arrived_date,
        fish_count,
        null::double precision as weight_g,
        'batch_batchcontainerassignment' as raw_table,
        dest_assignment_id as record_id
    from {{ examined('int_inferred_transfers') }}
),

harvests as (
    select
        'harvest' as movement_type,
        assignment_id as from_assignment_id,
        null::bigint as to_assignment_id,
        harvest_date as departed_date,
        harvest_date as arrived_date,
        fish_count,
        null::double precision as weight_g,
        'harvest_harvestlot' as raw_table,
        harvest_lot_id as record_id
    from {{ examined('int_harvest_lots_checked') }}
    where reject_reason is null
),

legs as (
    select * from creation_actions
    union all
    select * from rebuilt
    union all
    select * from transfers
    union all
    select * from transfer_mortality
    union all
    select * from inferred
    union all
    select * from harvests
),

anchors as (
    select * from {{ examined('int_anchors') }}
),

final as (
    select
        -- Two kinds of stocking have ids of their own.
        case
            when
                legs.movement_type = 'stocking'
                and legs.raw_table = 'batch_batchcontainerassignment'
                then 'rebuilt'
            else legs.movement_type
        end
        || ':' || legs.record_id
        || case
            when legs.movement_type = 'inferred' then ':' || legs.from_assignment_id
            else ''
        end as leg_key,
        legs.movement_type,
        legs.from_assignment_id,
        legs.to_assignment_id,
        legs.departed_date,
        legs.arrived_date,
        legs.fish_count,
        coalesce(legs.weight_g, anchors.weight_g) as weight_g,
        legs.movement_type = 'inferred' as is_inferred,
        legs.raw_table,
        legs.record_id,
        -- What leaves an assignment on its own first day only passes through it.
        coalesce(legs.departed_date = assignments.assignment_date, false) as is_passing_through
    from legs
    left join anchors
        on
            legs.from_assignment_id = anchors.assignment_id
            and legs.departed_date = anchors.anchor_date
    left join {{ examined('int_assignments', 'assignments') }}
        on legs.from_assignment_id = assignments.assignment_id
    where legs.fish_count > 0
)

select * from final
