{#-
  The query of what is pending, one row: for each kind, the ids as an array, the least and the
  greatest of them, and the first day from which each kind of span is out of date.
-#}
{% macro select_pending() -%}
select
    {%- for by, id in pending_ids().items() %}
    {{ by }}.*{{ ',' if not loop.last }}
    {%- endfor %}
from
    {%- for by, id in pending_ids().items() %}
    (
        select
            coalesce(array_agg({{ id }}), '{}')::text,
            min({{ id }}),
            max({{ id }})
            {%- for since in pending_spans() -%}
            , ({{ first_pending_day(since, 'min(from_date)') }})::text
            {%- endfor %}
        from pending_{{ by }}
        where {{ id }} is not null
    ) as {{ by }}{{ ',' if not loop.last }}
    {%- endfor %}
{%- endmacro %}


{#-
  What is pending, as literals: for each kind, what select_pending has found. With a join alone the
  planner reads a whole table to find a few rows of it, where more than eight tables are joined; and
  TimescaleDB decompresses every chunk.
-#}
{% macro pending_literals(found) -%}
    {%- set literals = {} -%}
    {%- for by, own in zip(pending_ids(), found | batch(3 + pending_spans() | length)) -%}
        {%- do literals.update({by: {
            'ids': own[0],
            'first_id': own[1] or 0,
            'last_id': own[2] or 0,
            'from': dict(zip(pending_spans(), own[3:])),
        }}) -%}
    {%- endfor -%}
    {{- return(literals) -}}
{%- endmacro %}


{#- By what changes are found, with the column of its ids. -#}
{% macro pending_ids() -%}
    {{- return({'assignments': 'assignment_id', 'batches': 'batch_id'}) -}}
{%- endmacro %}


{#- The spans that a row may stand for. -#}
{% macro pending_spans() -%}
    {{- return(['day', 'day_before', 'week', 'week_before']) -}}
{%- endmacro %}


{#-
  A mark in a compiled query, where with_literals puts what is pending once it is known: a query is
  compiled before the transaction that finds it.
-#}
{% macro pending_mark(by, key, day=none, since='day') -%}
    /* pending {{ by }}: {{ key }} */
    {%- if day %} /* pending {{ by }} from {{ since }}: {{ day }} */{%- endif -%}
{%- endmacro %}


{#- A query with literals at its marks; as it is, where everything is pending. -#}
{% macro with_literals(query, literals) -%}
    {%- set filled = namespace(query=query) -%}
    {%- for by, found in literals.items() -%}
        {%- set filled.query = modules.re.sub(
            '/\\* pending ' ~ by ~ ': (\\S+) \\*/',
            "and \\1 = any('" ~ found.ids ~ "'::bigint[])",
            filled.query
        ) -%}
        {%- set filled.query = modules.re.sub(
            '/\\* pending ' ~ by ~ ' between: (\\S+) \\*/',
            "and \\1 between " ~ found.first_id ~ " and " ~ found.last_id,
            filled.query
        ) -%}
        {%- for since, day in found['from'].items() if day is not none -%}
            {%- set filled.query = modules.re.sub(
                '/\\* pending ' ~ by ~ ' from ' ~ since ~ ': (\\S+) \\*/',
                "and \\1 >= date '" ~ day ~ "'",
                filled.query
            ) -%}
        {%- endfor -%}
    {%- endfor -%}
    {{- return(filled.query) -}}
{%- endmacro %}
