-- One row per assignment and day with an anchor: the cube root of the measured weight and its
-- variance, of all measurements that the anchor is made of.
{{ config(materialized='view') }}

with measurements as (
    select * from {{ ref('int_anchor_measurements') }} where anchor_status = 'used'
),

smoothing_days as (
    select * from {{ ref('int_smoothing_days') }}
),

-- The number of fish is that at the end of the day. A measurement of the departure day, which has
-- no state, tells of the fish that leave, and is not this assignment's.
measured as (
    select
        measurements.assignment_id,
        measurements.anchor_date,
        measurements.anchor_type,
        measurements.record_id,
        smoothing_days.population,
        smoothing_days.degree_days,
        smoothing_days.root_drift,
        cbrt(measurements.weight_g) as root,
        greatest(coalesce(measurements.sample_size, 1), 1)::double precision as sample_size,
        case
            when measurements.std_deviation_weight_g > 0
                then measurements.std_deviation_weight_g / measurements.weight_g
            else {{ smoothing_constant('default_weight_cv') }}
        end as weight_cv
    from measurements
    inner join smoothing_days
        on
            measurements.assignment_id = smoothing_days.assignment_id
            and measurements.anchor_date = smoothing_days.state_date
),

-- The error of a mean of so many fish of so many (none where all were weighed), and how well a
-- sample represents the group; the root has a third of the weight's relative error.
with_variance as (
    select
        *,
        root * root * (
            weight_cv * weight_cv / sample_size
            * case when sample_size < population then 1 - sample_size / population else 0 end
            + {{ smoothing_constant('sample_bias') }} * {{ smoothing_constant('sample_bias') }}
        ) / 9 as root_variance
    from measured
),

-- Several on a day: the mean weighted by the inverse variances.
combined as (
    select
        assignment_id,
        anchor_date as observed_date,
        case
            when count(*) = 1 then min(root)
            else
                sum(root / root_variance order by anchor_type, record_id)
                / sum(1 / root_variance order by anchor_type, record_id)
        end as observed_root,
        case
            when count(*) = 1 then min(root_variance)
            else 1 / sum(1 / root_variance order by anchor_type, record_id)
        end as observed_root_variance,
        count(*) as measurement_count,
        min(population) as population,
        min(degree_days) as degree_days,
        min(root_drift) as root_drift
    from with_variance
    group by assignment_id, anchor_date
),

final as (
    select
        assignment_id,
        observed_date,
        row_number() over (partition by assignment_id order by observed_date)
            as observation_index,
        observed_root,
        observed_root_variance,
        measurement_count,
        population,
        degree_days,
        root_drift
    from combined
)

select * from final
