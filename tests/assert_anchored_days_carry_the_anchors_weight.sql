-- A day with an anchor has the anchor's weight and says measured; no other day does.
with growth_states as (
    select * from {{ ref('int_growth_states') }} where not is_in_transit
),

anchors as (
    select * from {{ ref('int_anchors') }}
),

final as (
    select
        growth_states.assignment_id,
        growth_states.state_date,
        growth_states.weight_source,
        growth_states.weight_g,
        anchors.weight_g as anchor_weight_g
    from growth_states
    left join anchors
        on
            growth_states.assignment_id = anchors.assignment_id
            and growth_states.state_date = anchors.anchor_date
    where
        (
            (growth_states.weight_source = 'measured') = (anchors.assignment_id is not null)
            and (
                anchors.assignment_id is null
                or abs(growth_states.weight_g / anchors.weight_g - 1) <= 1e-9
            )
        ) is not true
)

select * from final
