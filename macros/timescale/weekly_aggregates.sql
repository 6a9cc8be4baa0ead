{#-
  Weekly continuous aggregates over daily_assignment_states, under the names that the operational
  system gives them. They are there for those who want them (`anchorline db weekly-aggregates`):
  weekly_assignment_states and weekly_batch_states say more, and are never behind.

  They go with the table that they aggregate. What swaps it for another one calls
  keep_weekly_aggregates, which makes those anew that were there.
-#}


{#- Their names, and what they are in SQL. -#}
{% macro weekly_aggregate_queries(states) -%}
    {%- set functions = timescale().schema -%}
    {%- set week -%} {{ functions }}time_bucket(interval '7 days', state_date) {%- endset -%}
    {#- without an origin of its own, a bucket of seven days begins on a Monday -#}
    {%- set by_assignment %}
select
    assignment_id,
    batch_id,
    container_id,
    {{ week }} as week_start_date,

    -- the state at the end of the last day covered
    max(state_date) as last_state_date,
    count(*) as days_covered,
    {{ functions }}last(avg_weight_g, state_date) as avg_weight_g,
    {{ functions }}last(population, state_date) as population,
    {{ functions }}last(biomass_kg, state_date) as biomass_kg,

    -- what happened that week
    avg(temp_c)::numeric(5, 2) as temp_c,
    sum(mortality_count)::bigint as mortality_count,
    sum(feed_kg)::numeric(14, 4) as feed_kg,
    count(feed_kg) as days_with_feed,
    sum(gain_kg)::numeric(14, 4) as gain_kg,
    sum(arrived_count)::bigint as arrived_count,
    sum(departed_count)::bigint as departed_count,
    sum(count_adjustment)::bigint as count_adjustment,
    count(anchor_type) as anchor_count,

    min(weight_confidence) as lowest_weight_confidence,
    bool_or(is_provisional) as is_provisional
from {{ states }}
group by assignment_id, batch_id, container_id, {{ week }}
    {%- endset -%}
    {%- set by_batch %}
select
    batch_id,
    {{ week }} as week_start_date,
    count(distinct state_date) as days_covered,
    count(distinct assignment_id) as assignment_count,

    -- means over the days; weight and temperature weighted by the number of fish
    (sum(population * avg_weight_g) / nullif(sum(population), 0))::numeric(12, 4)
        as avg_weight_g,
    (sum(population) / count(distinct state_date))::numeric(14, 1) as avg_population,
    (sum(biomass_kg) / count(distinct state_date))::numeric(14, 2) as avg_biomass_kg,
    (
        sum(population * temp_c) / nullif(sum(population) filter (where temp_c is not null), 0)
    )::numeric(5, 2) as temp_c,

    -- sums of the days
    sum(mortality_count)::bigint as mortality_count,
    sum(feed_kg)::numeric(14, 4) as feed_kg,
    sum(gain_kg)::numeric(14, 4) as gain_kg,
    count(anchor_type) as anchor_count,

    min(weight_confidence) as lowest_weight_confidence,
    bool_or(is_provisional) as is_provisional
from {{ states }}
group by batch_id, {{ week }}
    {%- endset -%}
    {{- return({'daily_assignment_weekly': by_assignment, 'daily_batch_weekly': by_batch}) -}}
{%- endmacro %}


{#- Those of them that there are, over the table `states`: name and comment. -#}
{% macro present_weekly_aggregates(states) -%}
    {%- if timescale() is none -%}
        {{- return({}) -}}
    {%- endif -%}
    {%- set found = {} -%}
    {%- for row in run_query(
        "select aggregates.view_name, obj_description(views.oid, 'pg_class') "
        ~ "from timescaledb_information.continuous_aggregates as aggregates "
        ~ "inner join pg_catalog.pg_namespace as schemas on aggregates.view_schema = schemas.nspname "
        ~ "inner join pg_catalog.pg_class as views "
        ~ "on schemas.oid = views.relnamespace and aggregates.view_name = views.relname "
        ~ "where aggregates.view_schema = " ~ sql_literal(states.schema)
        ~ " and aggregates.view_name in (" ~ sql_literals(weekly_aggregate_queries(states) | list)
        ~ ") and aggregates.hypertable_schema = " ~ sql_literal(states.schema)
        ~ " and aggregates.hypertable_name = " ~ sql_literal(states.identifier)
    ).rows -%}
        {%- do found.update({row[0]: row[1]}) -%}
    {%- endfor -%}
    {{- return(found) -}}
{%- endmacro %}


{#- The comment by which one is known to be made by the rules of now. -#}
{% macro weekly_aggregate_comment(query) -%}
    {{- return("Weeks of daily_assignment_states. Definition " ~ local_md5(query)) -}}
{%- endmacro %}


{#-
  The statements that make some of them anew. Nothing is aggregated yet: until their policy has been
  at work, which it is at once and then each hour, weeks are aggregated when they are asked for.
  The policy looks at all weeks but the last two, and does what has changed since.
-#}
{% macro weekly_aggregate_statements(states, names) -%}
    {%- set functions = timescale().schema -%}
    {%- set queries = weekly_aggregate_queries(states) -%}
    {%- set statements = [] -%}
    {%- for name in names -%}
        {%- set aggregate = states.incorporate(path={'identifier': name}) -%}
        {%- do statements.append("drop materialized view if exists " ~ aggregate) -%}
        {%- do statements.append(
            "create materialized view " ~ aggregate
            ~ "\nwith (timescaledb.continuous, timescaledb.materialized_only = false) as"
            ~ queries[name] ~ "\nwith no data"
        ) -%}
        {%- do statements.append(
            "comment on view " ~ aggregate ~ " is "
            ~ sql_literal(weekly_aggregate_comment(queries[name]))
        ) -%}
        {%- do statements.append(
            "select " ~ functions ~ "add_continuous_aggregate_policy(\n    "
            ~ sql_literal(aggregate)
            ~ ",\n    start_offset => null,\n    end_offset => interval '14 days',\n    "
            ~ "schedule_interval => interval '1 hour'\n)"
        ) -%}
        {%- for privilege, roles in (states_grants() or {}).items() -%}
            {%- set grantees = roles_in_force(states.schema, roles) -%}
            {%- if grantees -%}
                {%- do statements.append(get_grant_sql(aggregate, privilege, grantees) | trim) -%}
            {%- endif -%}
        {%- endfor -%}
    {%- endfor -%}
    {{- return(statements) -}}
{%- endmacro %}


{#- What daily_assignment_states grants to whom. -#}
{% macro states_grants() -%}
    {{- return(graph.nodes['model.anchorline.daily_assignment_states'].config.grants) -}}
{%- endmacro %}


{#-
  Makes those anew over `new_states` that there were over `old_states`, which is about to be dropped.
-#}
{% macro keep_weekly_aggregates(old_states, new_states) -%}
    {%- if timescale() is not none and timescale().is_community -%}
        {%- for statement in weekly_aggregate_statements(
            new_states, present_weekly_aggregates(old_states) | list
        ) -%}
            {%- do run_query(statement) -%}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}


{#-
  The operation: makes both, or those that are missing or were made by other rules; `remove` drops
  them. Prints the statements; `dry_run` does nothing more.
-#}
{% macro weekly_aggregates(remove=false, dry_run=false) -%}
    {%- set states = ref('daily_assignment_states') -%}
    {%- set present = present_weekly_aggregates(states) -%}
    {%- if remove -%}
        {%- set statements = [] -%}
        {%- for name in present -%}
            {%- do statements.append(
                "drop materialized view " ~ states.incorporate(path={'identifier': name})
            ) -%}
        {%- endfor -%}
    {%- else -%}
        {%- set names = [] -%}
        {%- for name, query in weekly_aggregate_queries(states).items() -%}
            {%- if present.get(name) != weekly_aggregate_comment(query) -%}
                {%- do names.append(name) -%}
            {%- endif -%}
        {%- endfor -%}
        {%- set statements = weekly_aggregate_statements(states, names) -%}
    {%- endif -%}
    {%- for statement in statements -%}
        {%- do print(statement ~ ";") -%}
    {%- endfor -%}
    {%- if statements and not dry_run -%}
        {%- do run_query(
            "begin;\nset local lock_timeout = '30s';\n" ~ statements | join(";\n") ~ ";\ncommit"
        ) -%}
    {%- endif -%}
{%- endmacro %}
