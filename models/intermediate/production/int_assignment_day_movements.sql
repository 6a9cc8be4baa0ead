-- One row per assignment and day on which fish arrive or leave, its departure day included: how
-- many, and what they weigh. Fish of a movement weigh at both its ends what was measured on the
-- way, else what they weighed the day before.
{{ config(
    meta={'published_by': 'assignments'},
    indexes=[
        {'columns': ['assignment_id', 'state_date'], 'unique': true},
    ],
) }}

with arriving as (
    select * from {{ pending('int_movements', 'assignments', key='to_assignment_id') }}
),

departing as (
    select * from {{ pending('int_movements', 'assignments', key='from_assignment_id') }}
),

assignments as (
    select * from {{ ref('int_assignments') }}
),

growth_states as not materialized (
    select * from {{ ref('int_growth_states') }}
),

arrivals as (
    select
        arriving.to_assignment_id as assignment_id,
        arriving.arrived_date as state_date,
        arriving.fish_count as arrived_count,
        (arriving.fish_count * coalesce(arriving.weight_g, growth_states.weight_g) / 1000)::numeric
            as arrived_biomass_kg,
        -- from another container of the batch, on the same day: no arrival of the batch
        (
            sources.batch_id = assignments.batch_id
            and arriving.departed_date = arriving.arrived_date
        )
        is true as is_exchanged,
        0 as departed_count,
        0 as departed_biomass_kg,
        0 as departed_reset_kg,
        null::double precision as weight_before_g
    from arriving
    inner join assignments on arriving.to_assignment_id = assignments.assignment_id
    left join assignments as sources on arriving.from_assignment_id = sources.assignment_id
    left join growth_states
        on
            arriving.from_assignment_id = growth_states.assignment_id
            and arriving.arrived_date - 1 = growth_states.state_date
    where arriving.to_assignment_id is not null
),

departures as (
    select
        departing.from_assignment_id as assignment_id,
        departing.departed_date as state_date,
        0 as arrived_count,
        0 as arrived_biomass_kg,
        false as is_exchanged,
        departing.fish_count as departed_count,
        (departing.fish_count * coalesce(departing.weight_g, growth_states.weight_g) / 1000)
        ::numeric as departed_biomass_kg,
        (departing.fish_count * (departing.weight_g - growth_states.weight_g) / 1000)::numeric
            as departed_reset_kg,
        growth_states.weight_g as weight_before_g
    from departing
    left join growth_states
        on
            departing.from_assignment_id = growth_states.assignment_id
            and departing.departed_date - 1 = growth_states.state_date
    where departing.from_assignment_id is not null
),

movements as (
    select * from arrivals
    union all
    select * from departures
),

final as (
    select
        assignment_id,
        state_date,
        sum(arrived_count)::bigint as arrived_count,
        coalesce(sum(arrived_biomass_kg), 0) as arrived_biomass_kg,
        coalesce(sum(arrived_count) filter (where is_exchanged), 0)::bigint as exchanged_count,
        coalesce(sum(arrived_biomass_kg) filter (where is_exchanged), 0)
            as exchanged_biomass_kg,
        sum(departed_count)::bigint as departed_count,
        coalesce(sum(departed_biomass_kg), 0) as departed_biomass_kg,
        coalesce(sum(departed_reset_kg), 0) as departed_reset_kg,
        max(weight_before_g) as weight_before_g
    from movements
    group by assignment_id, state_date
)

select * from final
