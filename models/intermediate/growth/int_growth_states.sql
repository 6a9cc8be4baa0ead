-- One row per assignment and day on which the engine holds it: the state at the end of the day,
-- unrounded, with everything that a restart or a mart needs.
--
-- The one recursion. Each pass computes one calendar day for all assignments at once, from the
-- states of the day before and never from one of the day. The clock (assignment 0) walks through
-- the calendar and lets assignments in by their row 0 and stocked fish by their movements.
--
-- PostgreSQL allows neither aggregates nor a second mention of the recursive name in a recursive
-- term; a WITH inside the term, which mentions it once as `yesterday`, allows both.
{{ config(
    meta={'published_by': 'states'},
    indexes=[
        {'columns': ['assignment_id', 'state_date'], 'unique': true},
        {'columns': ['batch_id', 'state_date']},
    ],
    partial_indexes=['(assignment_id) where is_death_record_rejected'],
    pre_hook='set local enable_mergejoin = off',
) }}

with recursive

starts as {{ 'materialized' if is_scoped() else 'not materialized' }} (
    select * from {{ growth_starts() }}
),

movements as not materialized (
    select * from {{ ref('int_movements') }} where to_assignment_id is not null
),

inputs as (
    select * from {{ ref('int_growth_inputs') }}
),

parameters as (
    select * from {{ ref('int_growth_parameters') }}
),

first_day as (
    select min(state_date) as first_date from starts
),

last_day as (
    select max(state_date) as last_date
    from {{ pending('int_growth_inputs', 'assignments', day='state_date') }}
),

step as (
    -- The clock, the day before the first row 0. (The series has one row; that the planner
    -- expects a thousand makes it join the days of a whole farm by hash.)
    select
        -- who and when
        0::bigint as assignment_id,
        first_day.first_date - 1 as state_date,
        null::bigint as batch_id,
        -- the moving state
        0::bigint as population,
        1::double precision as weight_g,
        0::double precision as mortality_carry,
        null::bigint as lifecycle_stage_id,
        false as is_arrival_inferred,
        -- what the day did
        false as is_state,
        null::bigint as stayed_count,
        null::bigint as arrived_count,
        null::bigint as departed_count,
        null::bigint as mortality_count,
        null::bigint as count_adjustment,
        null::double precision as mixed_weight_g,
        null::double precision as modelled_weight_g,
        null::text as weight_source,
        null::text as mortality_source,
        null::double precision as arrived_biomass_kg,
        null::boolean as is_death_record_rejected,
        null::boolean as is_in_transit,
        null::bigint as input_hash
    from first_day
    cross join generate_series(1, (select 1)) as one
    where first_day.first_date is not null

    union all

    (
        with yesterday as materialized (
            select
                assignment_id,
                state_date + 1 as today,
                population,
                weight_g,
                mortality_carry,
                lifecycle_stage_id,
                is_arrival_inferred
            from step
        ),

        clock as materialized (
            select today from yesterday
            where assignment_id = 0
            limit 1
        ),

        -- The clock itself, a day on, and the rows 0 of the day.
        entering as (
            select
                0::bigint as assignment_id,
                clock.today as state_date,
                null::bigint as batch_id,
                0::bigint as population,
                1::double precision as weight_g,
                0::double precision as mortality_carry,
                null::bigint as lifecycle_stage_id,
                false as is_arrival_inferred
            from clock
            where clock.today < (select last_day.last_date from last_day)

            union all

            select
                starts.assignment_id,
                starts.state_date,
                starts.batch_id,
                starts.population,
                starts.weight_g,
                starts.mortality_carry,
                starts.lifecycle_stage_id,
                starts.is_arrival_inferred
            from clock
            inner join starts on clock.today = starts.state_date
        ),

        arriving as (
            select
                movements.to_assignment_id as assignment_id,
                movements.movement_key,
                movements.fish_count,
                coalesce(movements.weight_g, yesterday.weight_g) as weight_g,
                movements.is_inferred
                or (movements.weight_g is null and yesterday.is_arrival_inferred) as is_inferred
            from yesterday
            inner join movements
                on
                    yesterday.assignment_id = movements.from_assignment_id
                    and yesterday.today = movements.arrived_date

            union all

            select
                movements.to_assignment_id as assignment_id,
                movements.movement_key,
                movements.fish_count,
                movements.weight_g,
                movements.is_inferred
            -- Joined: over a constant row PostgreSQL does not compute `= (select today ...)`
            -- anew in each pass.
            from clock
            inner join movements
                on
                    movements.from_assignment_id is null
                    and clock.today = movements.arrived_date
        ),

        arrived as (
            select
                assignment_id,
                sum(fish_count)::bigint as arrived_count,
                sum(fish_count * weight_g order by movement_key) as arrived_biomass_g,
                bool_or(is_inferred) as is_inferred
            from arriving
            group by assignment_id
        ),

        -- Yesterday's states with today's inputs: one look-up in the index for each row. (The
        -- limit keeps the planner from a hash of all inputs, which would be built anew for
        -- every day once it outgrows work_mem.)
        -- 1. arrived, departed, stayed; 2. the weight of those that stay mixed with those that
        -- arrive, before the day's growth
        mixed as materialized (
            select
                yesterday.assignment_id,
                yesterday.today as state_date,
                yesterday.population as population_before,
                yesterday.mortality_carry as carry_before,
                yesterday.lifecycle_stage_id,
                yesterday.is_arrival_inferred or coalesce(arrived.is_inferred, false)
                    as is_arrival_inferred,
                inputs.batch_id,
                inputs.period_start_day,
                inputs.temp_c,
                inputs.recorded_deaths,
                inputs.batch_deaths,
                inputs.departed_count,
                inputs.anchor_weight_g,
                inputs.cap_weight_g,
                inputs.is_in_transit,
                inputs.input_hash,
                coalesce(arrived.arrived_count, 0) as arrived_count,
                coalesce(arrived.arrived_biomass_g, 0) / 1000 as arrived_biomass_kg,
                greatest(yesterday.population - inputs.departed_count, 0) as stayed_count,
                case
                    when arrived.arrived_count > 0
                        then
                            (
                                greatest(yesterday.population - inputs.departed_count, 0)
                                * yesterday.weight_g
                                + arrived.arrived_biomass_g
                            )
                            / (
                                greatest(yesterday.population - inputs.departed_count, 0)
                                + arrived.arrived_count
                            )
                    else yesterday.weight_g
                end as mixed_weight_g
            from yesterday
            left join arrived on yesterday.assignment_id = arrived.assignment_id
            cross join lateral (
                select * from inputs
                where
                    inputs.assignment_id = yesterday.assignment_id
                    and inputs.state_date = yesterday.today
                limit 1
            ) as inputs
        ),

        -- Deaths recorded for the batch alone, over its assignments by the fish that are there.
        sharing as (
            select
                assignment_id,
                batch_id,
                batch_deaths,
                batch_deaths * present_count / batch_present_count as whole,
                batch_deaths * present_count % batch_present_count as remainder
            from (
                select
                    assignment_id,
                    batch_id,
                    batch_deaths,
                    greatest(population_before + arrived_count - departed_count, 0)
                        as present_count,
                    (
                        sum(greatest(population_before + arrived_count - departed_count, 0))
                            over (partition by batch_id)
                    )::bigint as batch_present_count
                from mixed
                where batch_deaths is not null
            ) as present
            where batch_present_count > 0
        ),

        shared as (
            select
                assignment_id,
                ({{ whole_share(
                    'batch_deaths', 'whole', 'remainder', 'batch_id', 'assignment_id'
                ) }})::bigint as share_count
            from sharing
        ),

        -- Recorded deaths of a day on which the batch has no fish, nor any under way, are not used.
        without_fish as (
            select mixed.assignment_id
            from mixed
            where
                mixed.recorded_deaths > 0
                and mixed.population_before + mixed.arrived_count = 0
                and mixed.batch_id not in (
                    select others.batch_id from mixed as others
                    where
                        others.population_before + others.arrived_count > 0
                        or others.is_in_transit
                )
        ),

        expected as (
            select
                mixed.*,
                parameters.tgc,
                parameters.exponent_n,
                parameters.exponent_m,
                parameters.max_weight_g,
                parameters.next_lifecycle_stage_id,
                shared.share_count,
                case when without_fish.assignment_id is null then mixed.recorded_deaths end
                    as own_count,
                without_fish.assignment_id is not null
                or (mixed.batch_deaths > 0 and shared.assignment_id is null) is true
                    as is_death_record_rejected,
                mixed.stayed_count * parameters.daily_mortality_rate + mixed.carry_before
                    as expected_deaths
            from mixed
            left join parameters
                on
                    mixed.batch_id = parameters.batch_id
                    and mixed.period_start_day = parameters.period_start_day
                    and mixed.lifecycle_stage_id = parameters.lifecycle_stage_id
            left join shared on mixed.assignment_id = shared.assignment_id
            left join without_fish on mixed.assignment_id = without_fish.assignment_id
        ),

        -- 3. died
        died as (
            select
                *,
                case
                    when own_count is not null or share_count is not null
                        then coalesce(own_count, 0) + coalesce(share_count, 0)
                    {%- if missing_mortality() == 'zero' %}
                    else 0
                    {%- else %}
                    else floor(expected_deaths + 1e-9)::bigint
                    {%- endif %}
                end as mortality_count,
                case
                    when share_count is not null then 'prorated'
                    when own_count is not null then 'actual'
                    else '{{ "inferred_zero" if missing_mortality() == "zero" else "model" }}'
                end as mortality_source
            from expected
        ),

        -- 4. number; 5. the day's growth
        grown as (
            select
                *,
                greatest(
                    departed_count + mortality_count - population_before - arrived_count, 0
                ) as count_adjustment,
                {{ grown_weight_g('mixed_weight_g', 'temp_c', 'tgc', 'exponent_n', 'exponent_m') }}
                    as uncapped_weight_g
            from died
        ),

        -- the cap; 6. the anchor
        anchored as (
            select
                *,
                greatest(mixed_weight_g, least(uncapped_weight_g, cap_weight_g))
                    as modelled_weight_g,
                coalesce(
                    anchor_weight_g,
                    greatest(mixed_weight_g, least(uncapped_weight_g, cap_weight_g))
                ) as weight_g
            from grown
        )

        select
            assignment_id,
            state_date,
            batch_id,
            population_before + arrived_count - departed_count - mortality_count
            + count_adjustment as population,
            weight_g,
            case
                when mortality_source = 'model' then expected_deaths - mortality_count
                else carry_before
            end as mortality_carry,
            -- 7. stage
            case
                when
                    weight_g >= max_weight_g - 1e-9
                    and next_lifecycle_stage_id is not null
                    and not is_in_transit
                    then next_lifecycle_stage_id
                else lifecycle_stage_id
            end as lifecycle_stage_id,
            is_arrival_inferred and anchor_weight_g is null as is_arrival_inferred,
            true as is_state,
            stayed_count,
            arrived_count,
            departed_count,
            mortality_count,
            count_adjustment,
            mixed_weight_g,
            modelled_weight_g,
            case
                when anchor_weight_g is not null then 'measured'
                when temp_c is null then 'unchanged'
                when modelled_weight_g < uncapped_weight_g then 'capped'
                else 'tgc_computed'
            end as weight_source,
            mortality_source,
            arrived_biomass_kg,
            is_death_record_rejected,
            is_in_transit,
            input_hash
        from anchored

        union all

        select
            entering.*,
            false as is_state,
            null as stayed_count,
            null as arrived_count,
            null as departed_count,
            null as mortality_count,
            null as count_adjustment,
            null as mixed_weight_g,
            null as modelled_weight_g,
            null as weight_source,
            null as mortality_source,
            null as arrived_biomass_kg,
            null as is_death_record_rejected,
            null as is_in_transit,
            null as input_hash
        from entering
    )
),

final as (
    select
        step.assignment_id,
        step.state_date,
        step.batch_id,
        step.population,
        step.weight_g,
        step.mortality_carry,
        step.lifecycle_stage_id,
        step.is_arrival_inferred,
        step.stayed_count,
        step.arrived_count,
        step.departed_count,
        step.mortality_count,
        step.count_adjustment,
        step.mixed_weight_g,
        step.modelled_weight_g,
        step.weight_source,
        step.mortality_source,
        step.arrived_biomass_kg,
        step.is_death_record_rejected,
        step.is_in_transit,
        step.input_hash
    from step
    where step.is_state
)

-- Stored in the order in which the models that follow read the days: without sorting them again.
select * from final
order by assignment_id, state_date
