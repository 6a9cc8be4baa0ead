-- Fish that are heavier than the plan has them that day are ahead of it, lighter ones behind. So it
-- is where the plan only grows; a stored run may lose weight, and has the same weight twice.
with plan_days as (
    select
        batch_id,
        state_date,
        weight_g::numeric(12, 4) as weight_g
    from {{ ref('int_plan_days') }}
    where is_in_force
),

steps as (
    select
        batch_id,
        weight_g - lag(weight_g) over (partition by batch_id order by state_date) as gain_g
    from plan_days
),

growing_plans as (
    select batch_id
    from steps
    group by batch_id
    having coalesce(min(gain_g), 0) >= 0
),

-- Of whole batches: finding the days ahead for each day of each container takes as long as the
-- rest of a build. (Kept, so that each is found once, not wherever it is named.)
variances as materialized (
    select
        batch_id,
        container_id,
        state_date,
        days_ahead,
        scenario_weight_g,
        weight_variance_g
    from {{ ref('growth_variance') }}
    where container_id is null

    union all

    select
        batch_id,
        container_id,
        last_state_date as state_date,
        days_ahead,
        scenario_weight_g,
        weight_variance_g
    from {{ ref('growth_variance_weekly') }}
),

final as (
    select variances.*
    from variances
    inner join growing_plans on variances.batch_id = growing_plans.batch_id
    where
        abs(variances.days_ahead) >= 0.1
        and variances.scenario_weight_g is not null
        and sign(variances.days_ahead) <> sign(variances.weight_variance_g)
)

select * from final
