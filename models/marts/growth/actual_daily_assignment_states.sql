-- One row per assignment and day, in the 18 columns that the operational application reads.
{{ config(materialized='view') }}

with daily_assignment_states as (
    select * from {{ ref('daily_assignment_states') }}
),

final as (
    select
        -- Stable over rebuilds, and unique while all days lie within 100 000 days.
        assignment_id * 100000 + (state_date - date '2000-01-01') as id,
        assignment_id,
        batch_id,
        container_id,
        lifecycle_stage_id,
        state_date as date,
        day_number,
        avg_weight_g::numeric(10, 2) as avg_weight_g,
        -- A number that the operational column cannot hold is null, rather than an error that
        -- takes the whole view down.
        case when population < 2147483648 then population end::integer as population,
        case when biomass_kg < 1e10 then biomass_kg end::numeric(12, 2) as biomass_kg,
        temp_c,
        case when mortality_count < 2147483648 then mortality_count end::integer
            as mortality_count,
        case when coalesce(feed_kg, 0) < 1e8 then coalesce(feed_kg, 0) end::numeric(10, 2)
            as feed_kg,
        observed_fcr,
        anchor_type,
        jsonb_build_object(
            'temp', temp_source,
            'mortality', mortality_source,
            'feed', feed_source,
            'weight', weight_source,
            'fcr', fcr_source
        ) as sources,
        jsonb_build_object(
            'temp', temp_confidence,
            'mortality', mortality_confidence,
            'feed', feed_confidence,
            'weight', weight_confidence,
            'fcr', fcr_confidence
        ) as confidence_scores,
        last_computed_at
    from daily_assignment_states
)

select * from final
