-- One row per batch and run that replaced history which had been published before with other
-- values. A log: rows are only added, and outlive a full refresh.
{{ config(
    meta={'appended': true},
    indexes=[
        {'columns': ['invocation_id', 'batch_id'], 'unique': true},
        {'columns': ['batch_id', 'restated_at']},
    ],
    pre_hook="{{ hold_published_mark() }}",
    post_hook=["{{ forget_compared_days() }}", "{{ forget_old_restatements() }}"],
) }}

with published as (
    select * from {{ source('ops', 'published') }} where model_name = 'daily_batch_states'
),

changes as (
    select * from {{ ref('int_changes') }}
),

batches as (
    select * from {{ ref('batches') }}
),

days_before as (
    select days.*
    from {{ ref('int_batch_days_before') }} as days
    cross join published
    where
        {{ is_published_since() }}
        and days.state_date < {{ as_of_date() }}
),

scopes as (
    select
        batch_id,
        min(from_date) as from_date,
        max(state_date) as last_published_date,
        min(published_change_id) as published_change_id
    from days_before
    group by batch_id
),

days_after as (
    select
        days.batch_id,
        days.state_date,
        days.avg_weight_g,
        days.population,
        days.biomass_kg,
        days.mortality_count,
        days.feed_kg,
        {{ batch_day_hash('days') }} as values_hash
    from {{ ref('daily_batch_states') }} as days
    inner join scopes
        on
            days.batch_id = scopes.batch_id
            and days.state_date between scopes.from_date and scopes.last_published_date
),

differing as (
    select
        coalesce(days_before.batch_id, days_after.batch_id) as batch_id,
        coalesce(days_before.state_date, days_after.state_date) as state_date,
        coalesce(days_after.mortality_count, 0) - coalesce(days_before.mortality_count, 0)
            as mortality_change_count,
        coalesce(days_after.biomass_kg, 0) - coalesce(days_before.biomass_kg, 0)
            as biomass_change_kg,
        coalesce(days_after.feed_kg, 0) - coalesce(days_before.feed_kg, 0) as feed_change_kg
    from days_before
    full join days_after
        on
            days_before.batch_id = days_after.batch_id
            and days_before.state_date = days_after.state_date
    where days_before.values_hash is distinct from days_after.values_hash
),

changed as (
    select
        batch_id,
        min(state_date) as from_date,
        count(*) as day_count,
        (array_agg(biomass_change_kg order by abs(biomass_change_kg) desc, state_date asc))[1]
            as largest_biomass_change_kg,
        (array_agg(state_date order by abs(biomass_change_kg) desc, state_date asc))[1]
            as largest_biomass_change_date,
        sum(mortality_change_count)::bigint as mortality_change_count,
        sum(feed_change_kg) as feed_change_kg
    from differing
    group by batch_id
),

-- Why: of the changes that this publication followed, those that reach what was published before.
explained as (
    select
        changes.batch_id,
        count(distinct changes.assignment_id) as assignment_count,
        string_agg(distinct changes.reason, '; ' order by changes.reason) as reasons
    from changes
    inner join scopes
        on
            changes.batch_id = scopes.batch_id
            and changes.change_id > scopes.published_change_id
            and changes.from_date <= scopes.last_published_date
    {%- if not is_one_of_several() %}
    where changes.change_id <= (select published.change_id from published)
    {%- endif %}
    group by changes.batch_id
),

final as (
    select
        -- which
        '{{ invocation_id }}'::text as invocation_id,
        clock_timestamp() as restated_at,
        changed.batch_id,
        batches.batch_number,

        -- what, and why
        changed.from_date,
        changed.day_count,
        coalesce(explained.assignment_count, 0) as assignment_count,
        coalesce(explained.reasons, 'rules') as reasons,

        -- by how much, on the last day that was complete and published before
        scopes.last_published_date,
        before.avg_weight_g::numeric(12, 4) as before_avg_weight_g,
        after.avg_weight_g::numeric(12, 4) as after_avg_weight_g,
        (after.avg_weight_g - before.avg_weight_g)::numeric(12, 4) as change_avg_weight_g,
        (100 * (after.avg_weight_g - before.avg_weight_g) / nullif(before.avg_weight_g, 0))
        ::numeric(14, 2) as change_avg_weight_percent,
        before.population as before_population,
        after.population as after_population,
        coalesce(after.population, 0) - before.population as change_population,
        (
            100.0 * (coalesce(after.population, 0) - before.population)
            / nullif(before.population, 0)
        )::numeric(14, 2) as change_population_percent,
        before.biomass_kg::numeric(14, 2) as before_biomass_kg,
        after.biomass_kg::numeric(14, 2) as after_biomass_kg,
        (coalesce(after.biomass_kg, 0) - before.biomass_kg)::numeric(14, 2)
            as change_biomass_kg,
        (
            100 * (coalesce(after.biomass_kg, 0) - before.biomass_kg)
            / nullif(before.biomass_kg, 0)
        )::numeric(14, 2) as change_biomass_percent,

        -- by how much on the day that changed most, and over all days
        case
            when changed.largest_biomass_change_kg <> 0 then changed.largest_biomass_change_date
        end as largest_biomass_change_date,
        changed.largest_biomass_change_kg::numeric(14, 2) as largest_biomass_change_kg,
        changed.mortality_change_count,
        changed.feed_change_kg::numeric(14, 4) as feed_change_kg
    from changed
    inner join scopes on changed.batch_id = scopes.batch_id
    inner join days_before as before
        on
            scopes.batch_id = before.batch_id
            and scopes.last_published_date = before.state_date
    left join days_after as after
        on
            scopes.batch_id = after.batch_id
            and scopes.last_published_date = after.state_date
    left join explained on changed.batch_id = explained.batch_id
    left join batches on changed.batch_id = batches.batch_id
)

select * from final
