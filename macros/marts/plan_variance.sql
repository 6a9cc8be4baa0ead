{#-
  CTEs `planned` and `compared`: rows of actual weight, number and biomass beside the plan in force,
  on one day each.

  actual  a CTE with batch_id, container_id (null: the whole batch), state_date, actual_weight_g,
          actual_population and actual_biomass_kg, published values

  A plan has no containers: number and biomass are compared for the whole batch only.

  days_ahead is the day on which the plan has the actual weight, less the actual day. Between two
  days of the plan it is interpolated; while the plan's weight stands still, it is the nearest day
  with that weight; null where the plan never has it.
-#}
{% macro plan_variance(actual) -%}
planned as (
    select
        {{ actual }}.*,
        plans.scenario_id,
        plans.scenario_name,
        plans.is_pinned,
        plan_days.weight_g::numeric(12, 4) as scenario_weight_g,
        case when {{ actual }}.container_id is null then plan_days.population end
            as scenario_population,
        case
            when {{ actual }}.container_id is null
                then (plan_days.population * plan_days.weight_g / 1000)::numeric(14, 2)
        end as scenario_biomass_kg
    from {{ actual }}
    left join {{ ref('int_plans') }} as plans
        on {{ actual }}.batch_id = plans.batch_id and plans.is_in_force
    left join {{ ref('int_plan_days') }} as plan_days
        on
            {{ actual }}.batch_id = plan_days.batch_id
            and {{ actual }}.state_date = plan_days.state_date
            and plan_days.is_in_force
),

compared as (
    select
        planned.*,
        (actual_weight_g - scenario_weight_g)::numeric(12, 4) as weight_variance_g,
        {{ variance_percent('actual_weight_g', 'scenario_weight_g') }}
            as weight_variance_percent,
        case when container_id is null then actual_population - scenario_population end
            as population_variance,
        {{ variance_percent('actual_population', 'scenario_population') }}
            as population_variance_percent,
        case
            when container_id is null
                then (actual_biomass_kg - scenario_biomass_kg)::numeric(14, 2)
        end as biomass_variance_kg,
        {{ variance_percent('actual_biomass_kg', 'scenario_biomass_kg') }}
            as biomass_variance_percent,
        -- A subquery rather than joins: whoever does not ask for it does not wait for it.
        (
            select
                (
                    case
                        when lighter.plan_weight_g < heavier.plan_weight_g
                            then
                                lighter.plan_date - planned.state_date
                                + (heavier.plan_date - lighter.plan_date)
                                * (planned.actual_weight_g - lighter.plan_weight_g)
                                / (heavier.plan_weight_g - lighter.plan_weight_g)
                        when lighter.plan_weight_g = heavier.plan_weight_g
                            then
                                greatest(
                                    heavier.plan_date, least(lighter.plan_date, planned.state_date)
                                )
                                - planned.state_date
                    end
                )::numeric(12, 1)
            from
                -- The plan's last day that is no heavier, and its first one that is no lighter.
                (
                    select
                        below.state_date as plan_date,
                        below.weight_g::numeric(12, 4) as plan_weight_g
                    from {{ ref('int_plan_days') }} as below
                    where
                        below.is_in_force
                        and below.batch_id = planned.batch_id
                        and below.weight_g::numeric(12, 4) <= planned.actual_weight_g
                    order by below.weight_g::numeric(12, 4) desc, below.state_date desc
                    limit 1
                ) as lighter
            cross join (
                select
                    above.state_date as plan_date,
                    above.weight_g::numeric(12, 4) as plan_weight_g
                from {{ ref('int_plan_days') }} as above
                where
                    above.is_in_force
                    and above.batch_id = planned.batch_id
                    and above.weight_g::numeric(12, 4) >= planned.actual_weight_g
                order by above.weight_g::numeric(12, 4), above.state_date
                limit 1
            ) as heavier
        ) as days_ahead
    from planned
)
{%- endmacro %}


{#- By how much a value lies above the planned one, in percent of this; null where it is 0. -#}
{% macro variance_percent(actual, planned) -%}
    (100.0 * ({{ actual }} - {{ planned }}) / nullif({{ planned }}, 0))::numeric(16, 2)
{%- endmacro %}
