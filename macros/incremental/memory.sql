{#-
  What all models of a run ask for and what does not change while it lasts. Asked of the database,
  or computed, once: dbt needs 5 ms for each question, and a refresh of one batch has 3 s.

  Kept in the dictionary that dbt gives all models of a run (`graph`), under the run's own id.
-#}
{% macro run_memory() -%}
    {%- if graph.get('run_memory', {}).get('invocation_id') != invocation_id -%}
        {%- do graph.update({'run_memory': {'invocation_id': invocation_id}}) -%}
    {%- endif -%}
    {{- return(graph['run_memory']) -}}
{%- endmacro %}


{#- The ids that this run examines, by kind, as array literals; stops a run that examines nothing. -#}
{% macro examined_ids() -%}
    {%- set memory = run_memory() -%}
    {%- if 'examined_ids' not in memory -%}
        {%- set kinds = examined_kinds() -%}
        {%- set found = run_query(
            "select " ~ kinds | join('s::text, ') ~ "s::text from "
            ~ ops_relation('examinations')
            ~ " where invocation_id = " ~ sql_literal(invocation_id)
        ) -%}
        {%- if found.rows | length == 0 -%}
            {{ exceptions.raise_compiler_error(
                "The var refresh_batches limits what `dbt run` and `dbt build` examine; other "
                ~ "commands take it with --full-refresh or not at all."
            ) }}
        {%- endif -%}
        {%- do memory.update({'examined_ids': dict(zip(kinds, found.rows[0].values()))}) -%}
    {%- endif -%}
    {{- return(memory['examined_ids']) -}}
{%- endmacro %}


{#-
  The sorted columns of a table as the run found it, or of one that was not there then as it is now
  (none: it is not). A table that is made anew in this run has those of its model.
-#}
{% macro columns_at_start(relation) -%}
    {%- set name = relation.schema ~ '.' ~ relation.identifier -%}
    {%- set known = tables_at_start().get(name) or find_tables(relation.identifier).get(name) -%}
    {{- return((known or {}).columns) -}}
{%- endmacro %}


{#- About how many rows a table had then. -#}
{% macro rows_at_start(relation) -%}
    {{- return(
        (tables_at_start().get(relation.schema ~ '.' ~ relation.identifier) or {}).rows or 0
    ) -}}
{%- endmacro %}


{#- The tables of the target's schemas as the run found them, by schema and name. -#}
{% macro tables_at_start() -%}
    {%- set memory = run_memory() -%}
    {%- if 'tables' not in memory -%}
        {%- do memory.update({'tables': find_tables()}) -%}
    {%- endif -%}
    {{- return(memory['tables']) -}}
{%- endmacro %}


{#- The tables of the target's schemas as they are now, or those of one name. -#}
{% macro find_tables(name=none) -%}
    {%- set tables = {} -%}
    {%- set found = run_query(
        "select schemas.nspname, tables.relname, tables.reltuples, "
        ~ "array_to_string(array_agg(columns.attname order by columns.attname), ',') "
        ~ "from pg_catalog.pg_class as tables "
        ~ "inner join pg_catalog.pg_namespace as schemas "
        ~ "on tables.relnamespace = schemas.oid "
        ~ "inner join pg_catalog.pg_attribute as columns on tables.oid = columns.attrelid "
        ~ "where left(schemas.nspname, " ~ (target.schema | length + 1) ~ ") = "
        ~ sql_literal(target.schema ~ '_')
        ~ (" and tables.relname = " ~ sql_literal(name) if name else "")
        ~ " and tables.relkind in ('r', 'p') and columns.attnum > 0 "
        ~ "and not columns.attisdropped group by 1, 2, 3"
    ) -%}
    {%- for row in found.rows -%}
        {%- do tables.update({
            row[0] ~ '.' ~ row[1]: {'rows': row[2], 'columns': row[3].split(',')}
        }) -%}
    {%- endfor -%}
    {{- return(tables) -}}
{%- endmacro %}


{#- By which rules each model that publishes changes was last built when the run began. -#}
{% macro published_rules_at_start() -%}
    {%- set memory = run_memory() -%}
    {%- if 'published_rules' not in memory -%}
        {%- set published = ops_relation('published') -%}
        {%- set rules = {} -%}
        {%- if columns_at_start(published) -%}
            {%- for row in run_query("select model_name, rules from " ~ published).rows -%}
                {%- do rules.update({row[0]: row[1]}) -%}
            {%- endfor -%}
        {%- endif -%}
        {%- do memory.update({'published_rules': rules}) -%}
    {%- endif -%}
    {{- return(memory['published_rules']) -}}
{%- endmacro %}
