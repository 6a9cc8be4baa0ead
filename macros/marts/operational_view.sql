{#- The 18 columns that the operational application reads, from the daily states. -#}
{% macro operational_states(daily_states) -%}
select
    -- Stable over rebuilds, and unique while all days lie within 100 000 days.
    assignment_id * 100000 + (state_date - date '2000-01-01') as id,
    assignment_id,
    batch_id,
    container_id,
    lifecycle_stage_id,
    state_date as date,
    day_number,
    avg_weight_g::numeric(10, 2) as avg_weight_g,
    -- A number that the operational column cannot hold is null, rather than an error that
    -- takes the whole view down.
    case when population < 2147483648 then population end::integer as population,
    case when biomass_kg < 1e10 then biomass_kg end::numeric(12, 2) as biomass_kg,
    temp_c,
    case when mortality_count < 2147483648 then mortality_count end::integer
        as mortality_count,
    case when coalesce(feed_kg, 0) < 1e8 then coalesce(feed_kg, 0) end::numeric(10, 2)
        as feed_kg,
    observed_fcr,
    anchor_type,
    jsonb_build_object(
        'temp', temp_source,
        'mortality', mortality_source,
        'feed', feed_source,
        'weight', weight_source,
        'fcr', fcr_source
    ) as sources,
    jsonb_build_object(
        'temp', temp_confidence,
        'mortality', mortality_confidence,
        'feed', feed_confidence,
        'weight', weight_confidence,
        'fcr', fcr_confidence
    ) as confidence_scores,
    last_computed_at
from {{ daily_states }}
{%- endmacro %}


{#-
  Points the view actual_daily_assignment_states at the table that has just taken the place of
  the old one, in the same transaction. Otherwise the view would go with the old table, and be
  missing until its own model has run, or for good where a test fails in between.
-#}
{% macro keep_operational_view() -%}
    {%- set view = adapter.get_relation(
        this.database, this.schema, 'actual_daily_assignment_states'
    ) if execute -%}
    {%- if view -%}
do $view$
begin
    create or replace view {{ view }} as {{ operational_states(this) }};
exception
    when invalid_table_definition then  -- its columns have changed
        drop view {{ view }};
        create view {{ view }} as {{ operational_states(this) }};
end
$view$
    {%- endif -%}
{%- endmacro %}


{#-
  Drops the view in the transaction that creates it anew, where dbt believes that it is gone: dbt
  takes it for dropped with the table that was swapped out.
-#}
{% macro drop_kept_operational_view() -%}
    {%- if execute and load_cached_relation(this) is none -%}
    drop view if exists {{ this }}
    {%- endif -%}
{%- endmacro %}
