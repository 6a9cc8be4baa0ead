-- One row per assignment and day with a state: how far its clock of degree-days, and the model's
-- growth, have come since it began. Days in transit, which only come after them, are left out.
--
-- A refresh begins at the first changed day, from the row of the day before as it is stored: it
-- adds what a rebuild adds, in the same order.
{{ config(
    meta={'published_by': 'assignment_days'},
    indexes=[
        {'columns': ['assignment_id', 'state_date'], 'unique': true},
    ],
) }}

with growth_states as (
    select *
    from {{ pending('int_growth_states', 'assignments', day='state_date', since='day_before') }}
    where not is_in_transit
),

growth_inputs as (
    select *
    from {{ pending('int_growth_inputs', 'assignments', day='state_date', since='day_before') }}
),

-- (Those from the first changed day on are deleted by now.)
stored_days as (
    {%- if is_scoped() %}
    select * from {{ this }}
    {%- else %}
    select
        null::bigint as assignment_id,
        null::date as state_date,
        null::double precision as degree_days,
        null::double precision as root_drift
    where false
    {%- endif %}
),

-- On the first day growth begins from the fish that arrive; on later days from the state of the
-- day before, so that arrivals that mix with it are part of the drift. A stored day stands for all
-- through it.
stepped as (
    select
        growth_states.assignment_id,
        growth_states.state_date,
        growth_states.population,
        stored_days.assignment_id is not null as is_stored,
        coalesce(stored_days.degree_days, greatest(growth_inputs.temp_c, 0)) as degree_days_change,
        coalesce(
            stored_days.root_drift,
            cbrt(growth_states.modelled_weight_g) - cbrt(
                coalesce(
                    lag(growth_states.weight_g) over assignment_days, growth_states.mixed_weight_g
                )
            )
        ) as root_change
    from growth_states
    inner join growth_inputs
        on
            growth_states.assignment_id = growth_inputs.assignment_id
            and growth_states.state_date = growth_inputs.state_date
    left join stored_days
        on
            growth_states.assignment_id = stored_days.assignment_id
            and growth_states.state_date = stored_days.state_date
    window
        assignment_days as (
            partition by growth_states.assignment_id order by growth_states.state_date
        )
),

accumulated as (
    select
        assignment_id,
        state_date,
        population,
        is_stored,
        sum(degree_days_change) over assignment_days as degree_days,
        sum(root_change) over assignment_days as root_drift
    from stepped
    window
        assignment_days as (
            partition by assignment_id order by state_date
            rows between unbounded preceding and current row
        )
),

final as (
    select
        assignment_id,
        state_date,
        population,
        degree_days,
        root_drift,
        hash_record_extended(row(population, degree_days, root_drift), 0) as day_hash
    from accumulated
    where not is_stored
)

select * from final
