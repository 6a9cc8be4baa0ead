-- One row per assignment and day with a state: the state and all that follows from it (feed,
-- growth, feed conversion, confidences), unrounded. Days in transit are left out.
{{ config(materialized='view') }}

with growth_states as (
    select * from {{ ref('int_growth_states') }} where not is_in_transit
),

growth_inputs as (
    select * from {{ ref('int_growth_inputs') }} where not is_in_transit
),

container_feed_shares as (
    select * from {{ ref('int_container_feed_shares') }}
),

confidences as not materialized (
    select * from {{ ref('confidence_by_source') }}
),

inferred_arrival as (
    select confidence from confidences
    where quantity = 'weight' and source = 'arrival_inferred'
),

fed_and_grown as (
    select
        growth_states.*,
        growth_inputs.container_id,
        growth_inputs.day_number,
        growth_inputs.temp_c,
        growth_inputs.temp_source,
        growth_inputs.temp_confidence,
        growth_inputs.anchor_type,
        growth_inputs.anchor_confidence,
        growth_inputs.planned_activity_id,
        growth_states.stayed_count + growth_states.arrived_count as start_count,
        coalesce(growth_inputs.feed_kg, container_feed_shares.shared_feed_kg) is not null as is_fed,
        case
            when growth_inputs.feed_kg is null then container_feed_shares.shared_feed_kg
            else growth_inputs.feed_kg + coalesce(container_feed_shares.shared_feed_kg, 0)
        end as feed_kg,
        -- The day's growth less the dead: neither movements nor the jump at an anchor.
        (
            (growth_states.stayed_count + growth_states.arrived_count)
            * (growth_states.modelled_weight_g - growth_states.mixed_weight_g)
            - growth_states.mortality_count * growth_states.modelled_weight_g
        ) / 1000 as gain_kg
    from growth_states
    inner join growth_inputs
        on
            growth_states.assignment_id = growth_inputs.assignment_id
            and growth_states.state_date = growth_inputs.state_date
    left join container_feed_shares
        on
            growth_states.assignment_id = container_feed_shares.assignment_id
            and growth_states.state_date = container_feed_shares.state_date
),

-- (Each expression is computed wherever it is named: the sources by the condition alone.)
named as (
    select
        *,
        case when is_fed then 'actual' else 'none' end as feed_source,
        {{ observed_fcr('feed_kg', 'gain_kg') }} as observed_fcr,
        case when {{ has_fcr('feed_kg', 'gain_kg') }} then 'calculated' else 'insufficient_data' end
            as fcr_source
    from fed_and_grown
),

final as (
    select
        named.batch_id,
        named.assignment_id,
        named.container_id,
        named.lifecycle_stage_id,
        named.state_date,
        named.day_number,
        named.population,
        named.weight_g,
        named.start_count,
        named.mixed_weight_g,
        named.modelled_weight_g,
        named.temp_c,
        named.mortality_count,
        named.feed_kg,
        named.gain_kg,
        named.observed_fcr,
        named.arrived_count,
        named.departed_count,
        named.count_adjustment,
        named.anchor_type,
        named.temp_source,
        named.temp_confidence,
        named.mortality_source,
        mortality_confidences.confidence as mortality_confidence,
        named.feed_source,
        feed_confidences.confidence as feed_confidence,
        named.weight_source,
        case
            when named.weight_source = 'measured' then named.anchor_confidence
            else least(
                weight_confidences.confidence,
                case
                    when named.weight_source in ('tgc_computed', 'capped')
                        then named.temp_confidence
                end,
                case
                    when named.is_arrival_inferred
                        then (select inferred_arrival.confidence from inferred_arrival)
                end
            )
        end as weight_confidence,
        named.fcr_source,
        least(fcr_confidences.confidence, feed_confidences.confidence) as fcr_confidence,
        named.is_arrival_inferred,
        named.planned_activity_id,
        named.input_hash
    from named
    left join confidences as mortality_confidences
        on
            mortality_confidences.quantity = 'mortality'
            and named.mortality_source = mortality_confidences.source
    left join confidences as weight_confidences
        on
            weight_confidences.quantity = 'weight'
            and named.weight_source = weight_confidences.source
    left join confidences as feed_confidences
        on
            feed_confidences.quantity = 'feed'
            and named.feed_source = feed_confidences.source
    left join confidences as fcr_confidences
        on
            fcr_confidences.quantity = 'fcr'
            and named.fcr_source = fcr_confidences.source
)

select * from final
