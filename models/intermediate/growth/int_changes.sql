-- One row per assignment and change: from which day on the marts no longer follow from the
-- records, and why. Rows are only added; each model that publishes keeps the number of the last
-- one it has followed (ops.published).
--
-- What is stored is read by name and not by `ref`: it comes after this model, and is what the
-- last run left. The facts that were compared are kept in the transaction that adds the rows
-- (ops.announced_facts): from then on, the rows tell of them.
--
-- Any run may follow a change as soon as it is there, not only the one that has found it. What the
-- models behind are made from is therefore made before: also what is not compared here.
{{ config(
    schema='ops',
    meta={'appended': true, 'examined_days': {'frame': 'inputs_and_anchors'}},
    pre_hook="{{ hold_facts() }}",
    post_hook=["{{ announce_facts() }}", "{{ raise_if_not_kept_to() }}"],
    indexes=[
        {'columns': ['change_id'], 'unique': true},
        {'columns': ['assignment_id']},
    ],
) }}
{%- if not execute or model.resource_type != 'unit_test' %}
{%- set made_before = [
    ref('int_growth_starts'), ref('batches'), ref('containers'), ref('lifecycle_stages')
] %}
{%- endif %}
{%- set stored_states = stored_relation('intermediate', 'int_growth_states', 'input_hash') %}
{%- set stored_facts = stored_relation('ops', 'announced_facts', 'facts_hash') %}
{%- set stored_shares = stored_relation(
    'intermediate', 'int_container_feed_shares', 'container_id'
) %}
{%- set published_days = stored_relation('marts', 'daily_assignment_states', 'input_hash') %}

with growth_inputs as not materialized (
    select * from {{ examined('int_growth_inputs') }}
),

facts as (
    select * from {{ examined('int_assignment_facts') }}
),

lineages as (
    select * from {{ examined('int_lineages') }}
),

stored_states as (
    {{ stored_rows(stored_states, {
        'assignment_id': 'bigint', 'state_date': 'date', 'batch_id': 'bigint',
        'input_hash': 'bigint'
    }) }}
),

stored_facts as (
    {{ stored_rows(stored_facts, {
        'assignment_id': 'bigint', 'batch_id': 'bigint', 'assignment_date': 'date',
        'last_active_date': 'date', 'labels_hash': 'bigint', 'facts_hash': 'bigint',
        'measurements_hash': 'bigint'
    }) }}
),

examined_inputs as (
    select * from growth_inputs
    where true{{ and_examined_days('state_date', ['batch_id', 'assignment_id']) }}
),

examined_states as (
    select * from stored_states
    where true{{ and_examined_days('state_date', ['batch_id', 'assignment_id']) }}
),

-- 1. Days whose inputs are not those that the stored state was computed from.
differing as (
    select
        coalesce(growth_inputs.assignment_id, stored_states.assignment_id) as assignment_id,
        coalesce(growth_inputs.state_date, stored_states.state_date) as state_date,
        growth_inputs.batch_id,
        stored_states.batch_id as stored_batch_id
    from examined_inputs as growth_inputs
    full join examined_states as stored_states
        on
            growth_inputs.assignment_id = stored_states.assignment_id
            and growth_inputs.state_date = stored_states.state_date
    where growth_inputs.input_hash is distinct from stored_states.input_hash
),

first_differing as (
    select distinct on (assignment_id)
        assignment_id,
        state_date,
        batch_id,
        stored_batch_id
    from differing
    order by assignment_id, state_date
),

published_days as (
    {{ stored_rows(published_days, {
        'assignment_id': 'bigint', 'state_date': 'date', 'anchor_type': 'text',
        'avg_weight_g': 'numeric', 'temp_c': 'numeric', 'temp_source': 'text',
        'feed_kg': 'numeric', 'arrived_count': 'bigint', 'departed_count': 'bigint',
        'mortality_source': 'text', 'mortality_count': 'bigint', 'is_provisional': 'boolean'
    }, of_all=true) }}
),

-- The first of them, and what differs there.
explained as (
    select
        first_differing.assignment_id,
        first_differing.state_date as from_date,
        first_differing.batch_id,
        first_differing.stored_batch_id,
        case
            when first_differing.stored_batch_id is null then 'new day'
            when first_differing.batch_id is null then 'day removed'
            else coalesce(
                nullif(
                    concat_ws(
                        ', ',
                        case
                            when
                                growth_inputs.anchor_type
                                is distinct from published_days.anchor_type
                                or growth_inputs.anchor_weight_g::numeric(12, 4)
                                <> published_days.avg_weight_g
                                then 'anchor'
                        end,
                        case
                            when
                                growth_inputs.arrived_count <> published_days.arrived_count
                                or growth_inputs.departed_count <> published_days.departed_count
                                then 'movement'
                        end,
                        case
                            when
                                growth_inputs.batch_deaths is null
                                and growth_inputs.recorded_deaths is distinct from case
                                    when published_days.mortality_source = 'actual'
                                        then published_days.mortality_count
                                end
                                then 'deaths'
                        end,
                        case
                            when
                                growth_inputs.temp_source <> published_days.temp_source
                                or growth_inputs.temp_c::numeric(5, 2)
                                is distinct from published_days.temp_c
                                then 'temperature'
                        end,
                        case
                            when
                                growth_inputs.container_feed_kg is null
                                and growth_inputs.feed_kg::numeric(14, 4)
                                is distinct from published_days.feed_kg
                                then 'feed'
                        end
                    ),
                    ''
                ),
                case
                    when published_days.is_provisional then 'day completed'
                    else 'parameters or rules'
                end
            )
        end as reason
    from first_differing
    left join growth_inputs
        on
            first_differing.assignment_id = growth_inputs.assignment_id
            and first_differing.state_date = growth_inputs.state_date
    left join published_days
        on
            first_differing.assignment_id = published_days.assignment_id
            and first_differing.state_date = published_days.state_date
),

-- Fish, and deaths of a whole batch, carry a change to all assignments of the lineage.
touched_batches as (
    select
        batch_id,
        min(state_date) as from_date
    from differing
    where batch_id is not null
    group by batch_id

    union all

    select
        stored_batch_id as batch_id,
        min(state_date) as from_date
    from differing
    where stored_batch_id is not null
    group by stored_batch_id
),

touched_lineages as (
    select
        lineages.lineage_id,
        min(touched_batches.from_date) as from_date
    from touched_batches
    inner join lineages on touched_batches.batch_id = lineages.batch_id
    group by lineages.lineage_id
),

spans as (
    select
        assignment_id,
        batch_id,
        min(state_date) as first_date,
        max(state_date) as last_date
    from growth_inputs
    group by assignment_id, batch_id
),

-- (An assignment that ended the day before is among them: its last state is where the fish
-- that leave it come from.)
of_lineages as (
    select
        spans.assignment_id,
        spans.batch_id,
        greatest(touched_lineages.from_date, spans.first_date) as from_date,
        true as recomputes_states,
        'lineage' as reason
    from touched_lineages
    inner join lineages on touched_lineages.lineage_id = lineages.lineage_id
    inner join spans
        on
            lineages.batch_id = spans.batch_id
            and touched_lineages.from_date <= spans.last_date + 1
),

own as (
    select
        assignment_id,
        coalesce(batch_id, stored_batch_id) as batch_id,
        from_date,
        true as recomputes_states,
        reason
    from explained
),

-- The batch that an assignment was taken from.
left_batches as (
    select
        assignment_id,
        stored_batch_id as batch_id,
        min(state_date) as from_date,
        true as recomputes_states,
        'assignment moved to another batch' as reason
    from differing
    where stored_batch_id <> batch_id
    group by assignment_id, stored_batch_id
),

-- 2. What the marts show beside the days' inputs.
differing_facts as (
    select
        coalesce(facts.assignment_id, stored_facts.assignment_id) as assignment_id,
        facts.batch_id,
        stored_facts.batch_id as stored_batch_id,
        coalesce(
            facts.measurements_hash = stored_facts.measurements_hash
            and facts.batch_id = stored_facts.batch_id,
            false
        ) as is_measured_alike,
        case
            when
                facts.labels_hash = stored_facts.labels_hash
                and facts.batch_id = stored_facts.batch_id
                then least(facts.last_active_date, stored_facts.last_active_date) + 1
            else least(facts.assignment_date, stored_facts.assignment_date)
        end as from_date,
        case
            when stored_facts.assignment_id is null then 'assignment added'
            when facts.assignment_id is null then 'assignment removed'
            when facts.labels_hash <> stored_facts.labels_hash then 'names or scenario'
            else 'measurements, movements or stay'
        end as reason
    from facts
    full join stored_facts on facts.assignment_id = stored_facts.assignment_id
    where
        facts.labels_hash is distinct from stored_facts.labels_hash
        or facts.facts_hash is distinct from stored_facts.facts_hash
),

of_facts as (
    select
        assignment_id,
        batch_id,
        from_date,
        false as recomputes_states,
        reason
    from differing_facts
    where batch_id is not null

    union all

    select
        assignment_id,
        stored_batch_id as batch_id,
        from_date,
        false as recomputes_states,
        reason
    from differing_facts
    where stored_batch_id is not null and stored_batch_id is distinct from batch_id
),

-- How sure a measurement is (its spread and size) is part of no day's inputs, but goes with the
-- fish that move: to any assignment of the lineage. No day of these changes: from after the
-- lineage's last.
of_measurements as (
    select
        spans.assignment_id,
        spans.batch_id,
        max(max(spans.last_date)) over (partition by lineages.lineage_id) + 1 as from_date,
        false as recomputes_states,
        'lineage' as reason
    from lineages
    inner join spans on lineages.batch_id = spans.batch_id
    where
        lineages.lineage_id in (
            select of_batches.lineage_id
            from differing_facts
            inner join lineages as of_batches on differing_facts.batch_id = of_batches.batch_id
            where not differing_facts.is_measured_alike
        )
    group by lineages.lineage_id, spans.assignment_id, spans.batch_id
),

-- 3. Others that eat from feed which was recorded for the container alone.
recomputed as (
    select
        assignment_id,
        min(from_date) as from_date
    from (
        select * from of_lineages
        union all
        select * from own
    ) as states
    group by assignment_id
),

fed_days as (
    select
        growth_inputs.assignment_id,
        growth_inputs.container_id,
        growth_inputs.state_date
    from growth_inputs
    inner join recomputed
        on
            growth_inputs.assignment_id = recomputed.assignment_id
            and growth_inputs.state_date >= recomputed.from_date
    where growth_inputs.container_feed_kg is not null

    union

    select
        stored.assignment_id,
        stored.container_id,
        stored.state_date
    from (
        {{ stored_rows(stored_shares, {
            'assignment_id': 'bigint', 'container_id': 'bigint', 'state_date': 'date'
        }, of_all=true) }}
    ) as stored
    inner join recomputed
        on
            stored.assignment_id = recomputed.assignment_id
            and stored.state_date >= recomputed.from_date
),

of_shared_feed as (
    select
        others.assignment_id,
        others.batch_id,
        min(others.state_date) as from_date,
        false as recomputes_states,
        'feed shared in the container' as reason
    from fed_days
    inner join {{ ref('int_growth_inputs') }} as others
        on
            fed_days.container_id = others.container_id
            and fed_days.state_date = others.state_date
            and fed_days.assignment_id <> others.assignment_id
    where others.container_feed_kg is not null
    group by others.assignment_id, others.batch_id
),

unioned as (
    select * from own
    union all
    select * from of_lineages
    union all
    select * from left_batches
    union all
    select * from of_facts
    union all
    select * from of_measurements
    union all
    select * from of_shared_feed
),

-- One row per assignment, batch and kind; its own reason before that of others.
merged as (
    select
        assignment_id,
        batch_id,
        recomputes_states,
        min(from_date) as from_date,
        (array_agg(reason order by from_date, reason = 'lineage', reason))[1] as reason
    from unioned
    group by assignment_id, batch_id, recomputes_states
),

final as (
    select
        {{ last_change_id() }}
        + row_number() over (order by assignment_id, batch_id, recomputes_states) as change_id,
        assignment_id,
        batch_id,
        from_date,
        recomputes_states,
        reason,
        '{{ invocation_id }}'::text as invocation_id,
        clock_timestamp() as changed_at
    from merged
    {%- if first_kept_day() is not none %}
    -- what ended before the states that are kept is left alone, however its records change
    where
        batch_id not in (
            select lineages.batch_id
            from lineages
            inner join (
                select
                    all_lineages.lineage_id,
                    max(days.last_date) as last_date
                from lineages as all_lineages
                inner join (
                    select
                        batch_id,
                        last_date
                    from spans

                    union all

                    select
                        batch_id,
                        state_date as last_date
                    from stored_states
                ) as days on all_lineages.batch_id = days.batch_id
                group by all_lineages.lineage_id
            ) as ended on lineages.lineage_id = ended.lineage_id
            where ended.last_date < {{ first_kept_day() }}
        )
    {%- endif %}
)

select * from final
