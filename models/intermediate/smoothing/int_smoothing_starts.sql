-- One row per assignment with a day: where its smoothed series starts, before the first day: the
-- weight of the fish that arrive, and the variance of those whose weight no filter knows.
{{ config(materialized='view') }}

with growth_starts as (
    select * from {{ ref('int_growth_starts') }}
),

growth_states as (
    select * from {{ ref('int_growth_states') }} where not is_in_transit
),

arrivals as (
    select * from {{ ref('int_smoothing_arrivals') }}
),

shared as (
    select
        assignment_id,
        count(source_assignment_id) as source_count,
        coalesce(
            sum(fish_share order by movement_key) filter (where source_assignment_id is null), 0
        ) as outside_share
    from arrivals
    group by assignment_id
),

started as (
    select
        growth_starts.assignment_id,
        growth_starts.state_date as start_date,
        cbrt(growth_states.mixed_weight_g) as start_root,
        coalesce(shared.source_count, 0) as source_count,
        -- an assignment to which nothing came begins with the weight it was stocked with
        coalesce(shared.outside_share, 1) as outside_share
    from growth_starts
    inner join growth_states
        on
            growth_starts.assignment_id = growth_states.assignment_id
            and growth_starts.state_date + 1 = growth_states.state_date
    left join shared on growth_starts.assignment_id = shared.assignment_id
),

final as (
    select
        assignment_id,
        start_date,
        start_root,
        source_count,
        outside_share
        * (start_root * {{ smoothing_constant('start_weight_cv') }} / 3)
        * (start_root * {{ smoothing_constant('start_weight_cv') }} / 3)
            as outside_variance
    from started
)

select * from final
