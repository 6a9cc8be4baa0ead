-- A batch's deaths of a month and cause are those of its assignments.
with mortality_by_cause as (
    select * from {{ ref('mortality_by_cause') }}
),

summed as (
    select
        batch_id,
        month_start_date,
        cause,
        count(*) as row_count,
        sum(mortality_count) as mortality_count,
        sum(mortality_biomass_kg) as mortality_biomass_kg
    from mortality_by_cause
    where assignment_id is not null
    group by batch_id, month_start_date, cause
),

batch_causes as (
    select * from mortality_by_cause where assignment_id is null
),

final as (
    select
        coalesce(batch_causes.batch_id, summed.batch_id) as batch_id,
        coalesce(batch_causes.month_start_date, summed.month_start_date) as month_start_date,
        coalesce(batch_causes.cause, summed.cause) as cause,
        batch_causes.mortality_count,
        summed.mortality_count as summed_mortality_count
    from batch_causes
    full join summed
        on
            batch_causes.batch_id = summed.batch_id
            and batch_causes.month_start_date = summed.month_start_date
            and batch_causes.cause = summed.cause
    where
        (
            batch_causes.mortality_count = summed.mortality_count
            and abs(batch_causes.mortality_biomass_kg - summed.mortality_biomass_kg)
            <= 0.0001 * (summed.row_count + 1)
        ) is not true
)

select * from final
