-- The weight changes by at most 30 % a day where no anchor resets it and no fish arrive. Fish
-- below 1 g are left out: at 0.1 g the cube-root law itself grows them by more than that.
{% set max_daily_change = 0.30 %}
{% set min_weight_g = 1 %}

with growth_states as (
    select * from {{ ref('int_growth_states') }} where not is_in_transit
),

with_yesterday as (
    select
        assignment_id,
        state_date,
        weight_g,
        weight_source,
        arrived_count,
        lag(weight_g) over (partition by assignment_id order by state_date)
            as weight_yesterday_g
    from growth_states
),

final as (
    select *
    from with_yesterday
    where
        weight_source <> 'measured'
        and arrived_count = 0
        and weight_yesterday_g >= {{ min_weight_g }}
        and (abs(weight_g / weight_yesterday_g - 1) <= {{ max_daily_change }}) is not true
)

select * from final
