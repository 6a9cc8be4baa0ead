{#-
  The continuous aggregate over the temperature readings, by container and day of the farm's time
  zone, where the readings are a hypertable. It is kept beside int_container_day_readings, which
  takes from it the days that are settled; days whose readings have changed since they were
  aggregated, however late, are read from the readings themselves (stale_days). So the rows are the
  same whether it is up to date, far behind or not there.
-#}


{#- Its name. -#}
{% macro readings_aggregate_relation() -%}
    {{- return(layer_relation('intermediate', 'container_day_temperatures')) -}}
{%- endmacro %}


{#-
  The ids by which TimescaleDB knows it and its hypertable, or none: not there, made by other rules
  than those of now, or this run looks at some batches only.
-#}
{% macro readings_aggregate() -%}
    {%- if
        timescale() is none
        or model.resource_type != 'model'
        or (is_limited() and is_scoped())
    -%}
        {{- return(none) -}}
    {%- endif -%}
    {%- set relation = readings_aggregate_relation() -%}
    {%- set found = run_query(
        "select mat_hypertable_id, raw_hypertable_id "
        ~ "from _timescaledb_catalog.continuous_agg "
        ~ "where user_view_schema = " ~ sql_literal(relation.schema)
        ~ " and user_view_name = " ~ sql_literal(relation.identifier)
        ~ " and obj_description(to_regclass(" ~ sql_literal(relation) ~ "), 'pg_class') = "
        ~ sql_literal(readings_aggregate_comment())
    ).rows if may_aggregate_readings() else [] -%}
    {{- return(
        {'relation': relation, 'id': found[0][0], 'hypertable_id': found[0][1]} if found else none
    ) -}}
{%- endmacro %}


{#-
  Whether there can be one: of a hypertable, in the community edition, whose notes of what has
  changed are where we know them. Developers' own schemas do without: each aggregate costs those
  who write readings a little.
-#}
{% macro may_aggregate_readings() -%}
    {%- set timescale = timescale() -%}
    {%- if timescale is none or not timescale.is_community or target.name == 'dev' -%}
        {{- return(false) -}}
    {%- endif -%}
    {%- set found = run_query(
        "select exists (select 1 from timescaledb_information.dimensions where hypertable_schema = "
        ~ sql_literal(var('raw_schema'))
        ~ " and hypertable_name = 'environmental_environmentalreading' "
        ~ "and dimension_number = 1 and column_name = 'reading_time' "
        ~ "and column_type = 'timestamptz'::regtype), "
        ~ "to_regclass('_timescaledb_catalog.continuous_aggs_hypertable_invalidation_log') "
        ~ "is not null "
        ~ "and to_regclass('_timescaledb_catalog.continuous_aggs_materialization_invalidation_log') "
        ~ "is not null"
    ).rows[0] -%}
    {{- return(found[0] and found[1]) -}}
{%- endmacro %}


{#- What it is, in SQL. Its columns are those of int_container_day_readings, and two more. -#}
{% macro readings_aggregate_query() -%}
    {%- set limits = run_query(
        "select min_value, max_value from " ~ ref('plausible_ranges') ~ " where quantity = 'temp'"
    ).rows[0] -%}
    {%- set parameters = run_query(
        "select array_agg(parameter_id order by parameter_id)::text from "
        ~ ref('stg_environmental_parameters') ~ " where parameter_key = 'temperature'"
    ).rows[0][0] -%}
    {%- set is_plausible -%}
        value::numeric between {{ limits[0] }}::numeric and {{ limits[1] }}::numeric
    {%- endset -%}
select
    container_id::bigint as container_id,
    {{ timescale().schema }}time_bucket(
        interval '1 day', reading_time, {{ sql_literal(var('timezone')) }}
    ) as day_start,
    avg(value::numeric) filter (where {{ is_plausible }}) as mean_temp_c,
    min(value::numeric) filter (where {{ is_plausible }}) as min_temp_c,
    max(value::numeric) filter (where {{ is_plausible }}) as max_temp_c,
    count(*) filter (where {{ is_plausible }}) as reading_count,
    array_agg(id::bigint order by id) filter (where ({{ is_plausible }}) is not true)
        as rejected_reading_ids,
    array_agg(value::numeric order by id) filter (where ({{ is_plausible }}) is not true)
        as rejected_values
from {{ source('raw', 'environmental_environmentalreading') }}
where parameter_id = any({{ sql_literal(parameters or '{}') }}::bigint[]) and container_id is not null
group by 1, 2
{%- endmacro %}


{#- A fingerprint of that, kept as the aggregate's comment. -#}
{% macro readings_aggregate_comment() -%}
    {{- return(
        "Daily temperature of a container: mean, min, max and count of plausible readings. "
        ~ "Definition " ~ local_md5(readings_aggregate_query())
    ) -}}
{%- endmacro %}


{#-
  Makes it, empty, where it may be and is not; makes it anew where its rules have changed and with
  --full-refresh; drops it where it may not be any more. Its policy aggregates the last 7 days each
  hour; `anchorline refresh` the rest.
-#}
{% macro keep_readings_aggregate() -%}
    {%- if execute and timescale() is not none and not is_limited() -%}
        {%- set relation = readings_aggregate_relation() -%}
        {%- set may = may_aggregate_readings() -%}
        {%- set is_kept = may and not should_full_refresh() and readings_aggregate() is not none -%}
        {%- if not is_kept -%}
do $aggregate$
begin
    if to_regclass({{ sql_literal(relation) }}) is not null then
        drop materialized view {{ relation }};
    end if;
    {%- if may %}
    create materialized view {{ relation }}
    with (timescaledb.continuous, timescaledb.materialized_only = true) as
    {{ readings_aggregate_query() }}
    with no data;
    execute format(
        'comment on view %s is %L',
        {{ sql_literal(relation) }}, {{ sql_literal(readings_aggregate_comment()) }}
    );
    perform {{ timescale().schema }}add_continuous_aggregate_policy(
        {{ sql_literal(relation) }},
        start_offset => interval '7 days',
        end_offset => interval '1 hour',
        schedule_interval => interval '1 hour'
    );
    {%- endif %}
exception
    when insufficient_privilege or feature_not_supported then
        raise warning
            'No continuous aggregate of the temperature readings: %. They are read themselves.',
            sqlerrm;
end
$aggregate$
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}


{#-
  The days whose readings are not aggregated as they are now, as rows (from_day, to_day, from_at,
  to_at), without overlaps: TimescaleDB's notes of which times have changed since, which the
  transactions that change them write. A statement sees them and the aggregate as of one moment.
-#}
{% macro stale_days(aggregate) -%}
    {%- set ranges = 'continuous_aggs_materialization_ranges' -%}
    {%- set has_ranges = run_query(
        "select to_regclass('_timescaledb_catalog." ~ ranges ~ "') is not null"
    ).rows[0][0] -%}
    select
        lower(day_range) as from_day,
        upper(day_range) as to_day,
        lower(day_range)::timestamp at time zone {{ sql_literal(var('timezone')) }} as from_at,
        upper(day_range)::timestamp at time zone {{ sql_literal(var('timezone')) }} as to_at
    from (
        select
            unnest(range_agg(daterange(
                case
                    when lowest_modified_value < {{ epoch_microseconds('1000-01-01') }}
                        then '-infinity'
                    else {{ noted_date('lowest_modified_value') }}
                end,
                case
                    when greatest_modified_value > {{ epoch_microseconds('9000-01-01') }}
                        then 'infinity'
                    else {{ noted_date('greatest_modified_value') }} + 1
                end
            ))) as day_range
        from (
            select lowest_modified_value, greatest_modified_value
            from _timescaledb_catalog.continuous_aggs_hypertable_invalidation_log
            where hypertable_id = {{ aggregate.hypertable_id }}
            union all
            select lowest_modified_value, greatest_modified_value
            from _timescaledb_catalog.continuous_aggs_materialization_invalidation_log
            where materialization_id = {{ aggregate.id }}
            {%- if has_ranges %}
            union all
            select lowest_modified_value, greatest_modified_value
            from _timescaledb_catalog.{{ ranges }}
            where materialization_id = {{ aggregate.id }}
            {%- endif %}
        ) as notes
    ) as day_ranges
{%- endmacro %}


{#- A day as TimescaleDB notes times: microseconds since 1970. -#}
{% macro epoch_microseconds(day) -%}
    (extract(epoch from timestamptz '{{ day }} 00:00+00') * 1000000)::bigint
{%- endmacro %}


{#- The farm's day of a time that is noted so. -#}
{% macro noted_date(column) -%}
    {{ local_date("(timestamptz '1970-01-01 00:00+00' + " ~ column ~ " * interval '1 microsecond')") }}
{%- endmacro %}
