-- One row per assignment and day on which feed was recorded for its container alone: the
-- assignment's share, by the biomass the day began with.
{{ config(
    meta={'published_by': 'assignment_days'},
    indexes=[
        {'columns': ['assignment_id', 'state_date'], 'unique': true},
        {'columns': ['container_id', 'state_date']},
    ],
) }}

with fed_days as (
    select distinct
        container_id,
        state_date
    from {{ pending('int_growth_inputs', 'assignments', day='state_date') }}
    where container_feed_kg is not null and not is_in_transit
),

-- All that eat from it, whoever of them is pending.
growth_inputs as (
    select growth_inputs.*
    from fed_days
    inner join {{ ref('int_growth_inputs') }} as growth_inputs
        on
            fed_days.container_id = growth_inputs.container_id
            and fed_days.state_date = growth_inputs.state_date
    where growth_inputs.container_feed_kg is not null and not growth_inputs.is_in_transit
),

growth_states as (
    select * from {{ ref('int_growth_states') }} where not is_in_transit
),

weighted as (
    select
        growth_inputs.assignment_id,
        growth_inputs.container_id,
        growth_inputs.state_date,
        growth_inputs.container_feed_kg,
        -- Fish that arrive today eat where there were none yesterday. Numeric, so that a sum
        -- does not depend on the order of its rows.
        coalesce(
            nullif((yesterday.population * yesterday.weight_g / 1000)::numeric, 0),
            today.arrived_biomass_kg::numeric,
            0
        ) as biomass_kg
    from growth_inputs
    inner join growth_states as today
        on
            growth_inputs.assignment_id = today.assignment_id
            and growth_inputs.state_date = today.state_date
    left join growth_states as yesterday
        on
            growth_inputs.assignment_id = yesterday.assignment_id
            and growth_inputs.state_date - 1 = yesterday.state_date
),

summed as (
    select
        *,
        count(*) over (partition by container_id, state_date) as assignment_count,
        sum(biomass_kg) over (partition by container_id, state_date)
            as container_biomass_kg
    from weighted
),

final as (
    select
        assignment_id,
        container_id,
        state_date,
        trim_scale(
            container_feed_kg * case
                when container_biomass_kg > 0 then biomass_kg / container_biomass_kg
                else 1.0 / assignment_count
            end
        ) as shared_feed_kg
    from summed
)

select * from {{ pending_days('final', 'assignments') }}
