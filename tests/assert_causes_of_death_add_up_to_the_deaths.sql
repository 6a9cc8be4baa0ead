-- The causes of a month are all its deaths, and weigh what they weigh.
with months as (
    select * from {{ ref('production_figures') }}
    where period_type = 'month' and mortality_count > 0
),

summed as (
    select
        batch_id,
        assignment_id,
        month_start_date,
        sum(mortality_count) as mortality_count,
        sum(mortality_count) filter (where cause <> 'NOT_RECORDED') as recorded_mortality_count,
        sum(mortality_biomass_kg) as mortality_biomass_kg,
        sum(share_of_deaths_percent) as share_percent
    from {{ ref('mortality_by_cause') }}
    group by batch_id, assignment_id, month_start_date
),

final as (
    select
        coalesce(months.batch_id, summed.batch_id) as batch_id,
        coalesce(months.assignment_id, summed.assignment_id) as assignment_id,
        coalesce(months.period_start_date, summed.month_start_date) as month_start_date,
        months.mortality_count,
        summed.mortality_count as summed_mortality_count
    from months
    full join summed
        on
            months.batch_id = summed.batch_id
            and coalesce(months.assignment_id, 0) = coalesce(summed.assignment_id, 0)
            and months.period_start_date = summed.month_start_date
    where
        (
            months.mortality_count = summed.mortality_count
            and months.recorded_mortality_count = coalesce(summed.recorded_mortality_count, 0)
            and abs(months.mortality_biomass_kg - summed.mortality_biomass_kg) <= 0.001
            and abs(summed.share_percent - 100) <= 0.001
        ) is not true
)

select * from final
