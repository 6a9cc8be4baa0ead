{#-
  The time that dbt's snapshots note: an instant, so that it does not depend on the time zone of
  the server, and that of the statement, which comes after the lock below.
-#}
{% macro postgres__snapshot_get_time() -%}
    statement_timestamp()
{%- endmacro %}


{#- Keeps two runs that take one snapshot apart: the second reads what the first has left. -#}
{% macro lock_snapshot() -%}
    select pg_advisory_xact_lock(hashtext('anchorline snapshot'), hashtext('{{ this }}'))
{%- endmacro %}
