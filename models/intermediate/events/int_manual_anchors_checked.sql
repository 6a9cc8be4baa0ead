-- One row per manual anchor, with the reason why it is not used (null where it is).
{{ config(
    meta={'examined_by': ['assignment_id']},
    indexes=[
        {'columns': ['assignment_id']},
    ],
) }}

with manual_anchors as (
    select * from {{ examined('stg_manual_anchors') }}
),

assignments as (
    select * from {{ examined('int_assignments') }}
),

final as (
    select
        manual_anchors.manual_anchor_id,
        manual_anchors.assignment_id,
        manual_anchors.anchor_date,
        manual_anchors.weight_g,
        case
            {{ reject_implausible_weight('manual_anchors.weight_g') }}
            {{ reject_unless_in_assignment('manual_anchors.anchor_date') }}
        end as reject_reason,
        case
            when
                manual_anchors.weight_g is null
                or not {{ is_plausible_weight('manual_anchors.weight_g') }}
                then manual_anchors.weight_g::text
            when assignments.assignment_id is null then manual_anchors.assignment_id::text
            else manual_anchors.anchor_date::text
        end as reject_value
    from manual_anchors
    left join assignments on manual_anchors.assignment_id = assignments.assignment_id
)

select * from final
