-- One row per assignment from which fish were harvested: the state at the end of the day before
-- the harvest began, what happened to its fish from then on, what its lots say, and what the
-- harvested fish weighed in the model on the day before each harvest day. Unrounded.
--
-- Harvests are few, days are many: each looks up its own. (As joins the planner reads all days.)
{{ config(
    meta={'published_by': 'batches'},
    indexes=[
        {'columns': ['assignment_id'], 'unique': true},
        {'columns': ['batch_id']},
    ],
) }}

with assignments as (
    select * from {{ pending('int_assignments', 'batches') }}
),

harvests as (
    select * from {{ ref('int_harvests') }}
),

spans_of_harvest as (
    select
        assignments.batch_id,
        assignments.assignment_id,
        assignments.container_id,
        coalesce(assignments.end_date <= {{ as_of_date() }}, false) as is_finished,
        min(harvests.harvest_date) as first_harvest_date,
        max(harvests.harvest_date) as last_harvest_date,
        count(*) as harvest_day_count,
        sum(harvests.lot_count)::bigint as lot_count,
        sum(harvests.harvested_count)::bigint as harvested_count,
        coalesce(sum(harvests.weighed_count), 0)::bigint as weighed_count,
        sum(harvests.live_weight_kg) as live_weight_kg,
        sum(harvests.gutted_live_weight_kg) as gutted_live_weight_kg,
        sum(harvests.gutted_weight_kg) as gutted_weight_kg
    from assignments
    inner join harvests on assignments.assignment_id = harvests.assignment_id
    group by
        assignments.batch_id, assignments.assignment_id, assignments.container_id,
        assignments.end_date
),

-- What the fish of each harvest day weighed in the model.
modelled as (
    select
        spans_of_harvest.assignment_id,
        sum((harvests.harvested_count * days_before.weight_g / 1000)::numeric) as biomass_kg,
        sum(harvests.harvested_count) as fish_count
    from spans_of_harvest
    inner join harvests on spans_of_harvest.assignment_id = harvests.assignment_id
    cross join lateral (
        select growth_states.weight_g
        from {{ ref('int_growth_states') }} as growth_states
        where
            harvests.assignment_id = growth_states.assignment_id
            and harvests.harvest_date - 1 = growth_states.state_date
            and not growth_states.is_in_transit
        limit 1
    ) as days_before
    group by spans_of_harvest.assignment_id
),

since as (
    select
        spans_of_harvest.assignment_id,
        days.*
    from spans_of_harvest
    cross join lateral (
        select
            sum(growth_states.arrived_count)::bigint as arrived_count,
            sum(growth_states.departed_count)::bigint as departed_count,
            sum(growth_states.mortality_count)::bigint as mortality_count,
            (array_agg(growth_states.population order by growth_states.state_date desc))[1]
                as last_population
        from {{ ref('int_growth_states') }} as growth_states
        where
            spans_of_harvest.assignment_id = growth_states.assignment_id
            and spans_of_harvest.first_harvest_date <= growth_states.state_date
            and not growth_states.is_in_transit
    ) as days
),

ends as (
    select * from {{ pending('int_assignment_ends', 'batches') }}
),

anchors as (
    select
        spans_of_harvest.assignment_id,
        max(int_anchors.anchor_date) as last_anchor_date
    from spans_of_harvest
    inner join {{ ref('int_anchors') }} as int_anchors
        on
            spans_of_harvest.assignment_id = int_anchors.assignment_id
            and spans_of_harvest.first_harvest_date > int_anchors.anchor_date
    group by spans_of_harvest.assignment_id
),

final as (
    select
        spans_of_harvest.*,
        states.state_date,
        states.population,
        states.weight_g,
        states.weight_confidence,
        states.is_arrival_inferred,
        coalesce(since.arrived_count, 0) + coalesce(ends.arrived_count, 0)
            as arrived_since_count,
        coalesce(since.departed_count, 0)
        + coalesce(ends.departed_count, 0)
        - spans_of_harvest.harvested_count as departed_otherwise_count,
        coalesce(since.mortality_count, 0) + coalesce(ends.mortality_count, 0)
            as died_since_count,
        -- (on the departure day nothing is left)
        case when ends.assignment_id is null then since.last_population else 0 end
            as remaining_count,
        modelled.biomass_kg as modelled_harvested_biomass_kg,
        case
            when modelled.fish_count = spans_of_harvest.harvested_count
                then (1000 * modelled.biomass_kg / modelled.fish_count)::double precision
        end as modelled_weight_g,
        anchors.last_anchor_date
    from spans_of_harvest
    left join lateral (
        select daily_measures.*
        from {{ ref('int_daily_measures') }} as daily_measures
        where
            spans_of_harvest.assignment_id = daily_measures.assignment_id
            and spans_of_harvest.first_harvest_date - 1 = daily_measures.state_date
        limit 1
    ) as states on true
    left join since on spans_of_harvest.assignment_id = since.assignment_id
    left join ends on spans_of_harvest.assignment_id = ends.assignment_id
    left join modelled on spans_of_harvest.assignment_id = modelled.assignment_id
    left join anchors on spans_of_harvest.assignment_id = anchors.assignment_id
)

select * from final
