-- One row per batch, assignment (null: the whole batch), month and cause of death.
{{ config(
    meta={'published_by': 'batches', 'published_also': 'examined'},
    indexes=[
        {'columns': ['batch_id', 'month_start_date']},
        {'columns': ['assignment_id', 'month_start_date']},
    ],
) }}

with deaths_by_cause as (
    select * from {{ pending('int_deaths_by_cause', 'batches') }}
),

months as (
    select
        batch_id,
        assignment_id,
        period_start_date as month_start_date,
        start_population + arrived_count as fish_count
    from {{ pending('int_assignment_production', 'batches') }}
    where period_type = 'month'
),

batch_months as (
    select
        batch_id,
        period_start_date as month_start_date,
        start_population + arrived_count as fish_count
    from {{ pending('int_batch_production', 'batches') }}
    where period_type = 'month'
),

batches as (
    select * from {{ ref('batches') }}
),

assignments as (
    select * from {{ pending('int_assignments', 'batches') }}
),

containers as (
    select * from {{ ref('containers') }}
),

of_assignments as (
    select
        deaths_by_cause.batch_id,
        deaths_by_cause.assignment_id,
        assignments.container_id,
        deaths_by_cause.month_start_date,
        deaths_by_cause.cause,
        deaths_by_cause.mortality_count,
        deaths_by_cause.mortality_biomass_kg,
        months.fish_count
    from deaths_by_cause
    left join assignments on deaths_by_cause.assignment_id = assignments.assignment_id
    left join months
        on
            deaths_by_cause.assignment_id = months.assignment_id
            and deaths_by_cause.month_start_date = months.month_start_date
),

summed as (
    select
        batch_id,
        month_start_date,
        cause,
        sum(mortality_count)::bigint as mortality_count,
        sum(mortality_biomass_kg) as mortality_biomass_kg
    from deaths_by_cause
    group by batch_id, month_start_date, cause
),

of_batches as (
    select
        summed.batch_id,
        null::bigint as assignment_id,
        null::bigint as container_id,
        summed.month_start_date,
        summed.cause,
        summed.mortality_count,
        summed.mortality_biomass_kg,
        batch_months.fish_count
    from summed
    left join batch_months
        on
            summed.batch_id = batch_months.batch_id
            and summed.month_start_date = batch_months.month_start_date
),

unioned as (
    select * from of_assignments
    union all
    select * from of_batches
),

final as (
    select
        unioned.batch_id,
        batches.batch_number,
        unioned.assignment_id,
        unioned.container_id,
        containers.container_name,
        unioned.month_start_date,
        unioned.cause,
        unioned.mortality_count,
        unioned.mortality_biomass_kg::numeric(16, 4) as mortality_biomass_kg,
        (
            100.0 * unioned.mortality_count / nullif(unioned.fish_count, 0)
        )::numeric(24, 4) as mortality_percent,
        (
            100.0 * unioned.mortality_count / sum(unioned.mortality_count) over (
                partition by unioned.batch_id, unioned.assignment_id, unioned.month_start_date
            )
        )::numeric(7, 4) as share_of_deaths_percent
    from unioned
    left join batches on unioned.batch_id = batches.batch_id
    left join containers on unioned.container_id = containers.container_id
)

select * from final
