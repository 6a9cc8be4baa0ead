-- One row per batch, plan and day that the pinned projection run holds.
{{ config(
    meta={'published_by': 'batches', 'published_also': 'examined'},
    indexes=[
        {'columns': ['batch_id']},
    ],
) }}

with starts as (
    select * from {{ pending('int_plan_starts', 'batches') }}
),

projection_days as (
    select * from {{ ref('stg_projection_days') }}
),

-- Of two rows of a run for one day the one with the higher id counts: it was written last.
final as (
    select distinct on (starts.batch_id, starts.scenario_id, projection_days.projection_date)
        starts.batch_id,
        starts.scenario_id,
        projection_days.projection_date as state_date,
        coalesce(projection_days.lifecycle_stage_id, starts.lifecycle_stage_id)
            as lifecycle_stage_id,
        round(projection_days.population)::bigint as population,
        projection_days.avg_weight_g as weight_g
    from starts
    inner join projection_days
        on starts.pinned_projection_run_id = projection_days.projection_run_id
    where
        {{ is_plausible_weight('projection_days.avg_weight_g') }}
        and projection_days.population between 0 and 2147483647
        and {{ is_possible_start('projection_days.projection_date') }}
    order by
        starts.batch_id asc,
        starts.scenario_id asc,
        projection_days.projection_date asc,
        projection_days.projection_day_id desc
)

select * from final
