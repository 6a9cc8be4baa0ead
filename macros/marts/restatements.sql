{#- What a published day of a batch is compared by: all columns of daily_batch_states but names. -#}
{% macro batch_day_columns() -%}
    {{- return({
        'batch_id': 'bigint', 'state_date': 'date', 'is_provisional': 'boolean',
        'lifecycle_stage_id': 'bigint', 'avg_weight_g': 'numeric', 'population': 'bigint',
        'biomass_kg': 'numeric', 'container_count': 'bigint',
        'smallest_container_weight_g': 'numeric', 'largest_container_weight_g': 'numeric',
        'container_cv_percent': 'numeric', 'temp_c': 'numeric', 'mortality_count': 'bigint',
        'feed_kg': 'numeric', 'observed_fcr': 'numeric', 'gain_kg': 'numeric',
        'arrived_count': 'bigint', 'departed_count': 'bigint', 'count_adjustment': 'bigint',
        'anchor_count': 'bigint', 'lowest_weight_confidence': 'double precision'
    }) -}}
{%- endmacro %}


{#- A fingerprint of these, as an expression over a row of days. -#}
{% macro batch_day_hash(days) -%}
    {%- set columns = [] -%}
    {%- for column in batch_day_columns() if column != 'is_provisional' -%}
        {%- do columns.append(days ~ '.' ~ column) -%}
    {%- endfor -%}
    hash_record_extended(row({{ columns | join(', ') }}), 0)
{%- endmacro %}


{#-
  Whether this run replaces all rows of a model that publishes pending changes: because it is told
  to, or because the rules are no longer those that the model was built with.
-#}
{% macro replaces_all_of(model_name) -%}
    {%- if not execute or model.resource_type != 'model' -%}
        {{- return(false) -}}
    {%- endif -%}
    {%- if should_full_refresh() -%}
        {{- return(true) -}}
    {%- endif -%}
    {%- set published = ops_relation('published') -%}
    {%- if adapter.get_relation(published.database, published.schema, 'published') is none -%}
        {{- return(true) -}}
    {%- endif -%}
    {%- set known = run_query(
        "select 1 from " ~ published ~ " where model_name = " ~ sql_literal(model_name)
        ~ " and rules = " ~ sql_literal(rules_fingerprint())
    ) -%}
    {{- return(known.rows | length == 0) -}}
{%- endmacro %}


{#-
  Keeps, until the end of the transaction, the mark to which daily_batch_states has been published,
  and other runs from finding changes: what is compared and what is then forgotten must be the same
  days.
-#}
{% macro hold_published_mark() -%}
    select pg_advisory_xact_lock(
        hashtext('anchorline model'), hashtext({{ sql_literal(ref('int_changes')) }})
    );
    select 1 from {{ source('ops', 'published') }}
    where model_name = 'daily_batch_states'
    for share
{%- endmacro %}


{#-
  Whether a noted day has been published since, as a condition on rows of int_batch_days_before (as
  `days`) and ops.published (as `published`). Not while a change of the batch is still to come: a
  run beside this one has found it, and its values before are among the days. One of several runs
  has published the days of its own batches before it asks.
-#}
{% macro is_published_since() -%}
    {%- if is_one_of_several() -%}
    {{ is_kept_to('days.batch_id') }}
    {%- else -%}
    days.published_at < published.published_at
    and not exists (
        select 1 from {{ ref('int_changes') }} as coming
        where
            coming.change_id > published.change_id
            and coming.batch_id = days.batch_id
    )
    {%- endif -%}
{%- endmacro %}


{#- Forgets the days before of which the difference has been noted. -#}
{% macro forget_compared_days() -%}
    delete from {{ ref('int_batch_days_before') }} as days
    using {{ source('ops', 'published') }} as published
    where
        published.model_name = 'daily_batch_states'
        and {{ is_published_since() }}
{%- endmacro %}


{#- Forgets restatements of long ago, so that the log has an end. -#}
{% macro forget_old_restatements() -%}
    delete from {{ this }}
    where restated_at < now() - make_interval(days => {{ var('restatements_kept_days') | int }})
{%- endmacro %}
