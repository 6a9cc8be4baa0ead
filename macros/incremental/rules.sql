{#-
  A fingerprint of the rules by which records become marts: the models, the seeds, the vars and
  `engine_version` (to be raised when a macro changes what comes out). Not among them: the as-of
  date and what limits a run.
-#}
{% macro rules_fingerprint() -%}
    {%- set memory = run_memory() -%}
    {%- if 'rules' not in memory -%}
        {%- set parts = [engine_version() | string] -%}
        {%- for name in result_vars() -%}
            {%- do parts.append(name ~ '=' ~ var(name)) -%}
        {%- endfor -%}
        {%- for unique_id, node in nodes_of_project() | dictsort -%}
            {%- do parts.append(unique_id ~ '=' ~ node.checksum) -%}
        {%- endfor -%}
        {%- do memory.update({'rules': local_md5(parts | join('\n'))}) -%}
    {%- endif -%}
    {{- return(memory['rules']) -}}
{%- endmacro %}


{#- The vars that change what the marts hold. -#}
{% macro result_vars() -%}
    {{- return([
        'raw_schema', 'timezone', 'max_interpolation_gap_days', 'short_interpolation_gap_days',
        'max_nearest_gap_days', 'inference_window_days', 'min_inferred_cover',
        'max_transfer_mortality_share', 'missing_mortality', 'growth_formula',
        'health_samplings_are_anchors', 'stage_caps_enabled', 'fcr_cap', 'fcr_warn',
        'min_gain_kg_for_fcr'
    ]) -}}
{%- endmacro %}
