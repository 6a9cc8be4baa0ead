-- One row per batch and completed day whose published state is about to be replaced: its values
-- before. The mart `restatements` compares them with those after, and removes them; what a killed
-- run has left here waits for the next one.
--
-- What is published is read by name and not by `ref`: the mart must come after this model.
{{ config(
    schema='ops',
    meta={'appended': true},
    indexes=[
        {'columns': ['batch_id', 'state_date'], 'unique': true},
    ],
) }}
{%- set published_days = stored_relation(
    'marts', 'daily_batch_states', 'lowest_weight_confidence'
) %}

with published as (
    select * from {{ source('ops', 'published') }} where model_name = 'daily_batch_states'
),

published_days as (
    {{ stored_rows(published_days, batch_day_columns(), of_all=true) }}
),

replaced as (
    {%- if replaces_all_of('daily_batch_states') %}
    select distinct
        batch_id,
        date '0001-01-01' as from_date
    from published_days
    {%- else %}
    select
        batch_id,
        min(from_date) as from_date
    from {{ ref('int_changes') }}
    where
        change_id > coalesce((select published.change_id from published), 0)
        and {{ is_kept_to('batch_id') }}
    group by batch_id
    {%- endif %}
),

-- What a killed run has noted already. (Looked up in a hash and not joined: a plan that scans the
-- table for each row would scan all that this very statement has added to it.)
kept as (
    {{ stored_rows(
        this if is_scoped() else none, {'batch_id': 'bigint', 'state_date': 'date'}, of_all=true
    ) }}
),

final as (
    select
        published_days.batch_id,
        published_days.state_date,
        published_days.avg_weight_g,
        published_days.population,
        published_days.biomass_kg,
        published_days.mortality_count,
        published_days.feed_kg,
        {{ batch_day_hash('published_days') }} as values_hash,
        replaced.from_date,
        coalesce((select published.change_id from published), 0) as published_change_id,
        coalesce((select published.published_at from published), '-infinity') as published_at
    from published_days
    inner join replaced
        on
            published_days.batch_id = replaced.batch_id
            and published_days.state_date >= replaced.from_date
    where
        -- a day that is not over is no history
        not published_days.is_provisional
        and (published_days.batch_id, published_days.state_date) not in (
            select
                kept.batch_id,
                kept.state_date
            from kept
        )
)

select * from final
