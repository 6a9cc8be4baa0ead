-- On the day of a weighing the band is at most as wide as that of the measurements alone, and of
-- what was known before: 1.96 standard deviations to either side of the root.
with daily_assignment_smoothed as (
    select * from {{ ref('daily_assignment_smoothed') }}
),

weight_filter as (
    select * from {{ ref('int_weight_filter') }} where observation_index > 0
),

final as (
    select
        smoothed.assignment_id,
        smoothed.state_date,
        smoothed.smoothed_weight_low_g,
        smoothed.smoothed_weight_high_g,
        weight_filter.prior_variance,
        weight_filter.observed_root_variance
    from weight_filter
    left join daily_assignment_smoothed as smoothed
        on
            weight_filter.assignment_id = smoothed.assignment_id
            and weight_filter.observed_date = smoothed.state_date
    where
        (
            smoothed.is_observed
            and cbrt(smoothed.smoothed_weight_high_g::double precision)
            - cbrt(smoothed.smoothed_weight_low_g::double precision)
            <= 2 * 1.96 * sqrt(
                least(weight_filter.prior_variance, weight_filter.observed_root_variance)
            ) + case
                -- what rounding to 0.0001 g makes of a root: much, where the fish weigh little
                when smoothed.smoothed_weight_low_g > 0
                    then 0.0001 / smoothed.smoothed_weight_low_g ^ (2.0 / 3)
                else 0.05
            end
        ) is not true
)

select * from final
