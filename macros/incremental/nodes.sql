{#-
  By the id of each model and seed: its name, checksum and meta, and the ids of what it is made
  from. dbt writes a node of `graph` out anew each time that it is asked for it; so they are kept
  beside them, as long as the project stays parsed.
-#}
{% macro nodes_of_project() -%}
    {%- if 'nodes_of_project' not in graph -%}
        {%- set nodes = {} -%}
        {%- for unique_id in graph.nodes
            if unique_id.startswith('model.') or unique_id.startswith('seed.') -%}
            {%- set node = graph.nodes[unique_id] -%}
            {%- do nodes.update({unique_id: {
                'name': node.name,
                'checksum': node.checksum.checksum,
                'meta': node.config.meta,
                'parents': node.depends_on.get('nodes', []),
            }}) -%}
        {%- endfor -%}
        {%- do graph.update({'nodes_of_project': nodes}) -%}
    {%- endif -%}
    {{- return(graph['nodes_of_project']) -}}
{%- endmacro %}


{#-
  By the id of each model: its name, whether it follows changes, and the ids of the models that it
  is made from and that are made from it.
-#}
{% macro models_of_run() -%}
    {%- set memory = run_memory() -%}
    {%- if 'models' not in memory -%}
        {%- set models = {} -%}
        {%- for unique_id, node in nodes_of_project().items() if unique_id.startswith('model.') -%}
            {%- do models.update({unique_id: {
                'name': node.name,
                'follows_changes': node.meta.get('published_by') is not none,
                'parents': node.parents,
                'children': [],
            }}) -%}
        {%- endfor -%}
        {%- for unique_id, known in models.items() -%}
            {%- do known.update({'parents': known.parents | select('in', models) | list}) -%}
            {%- for parent in known.parents -%}
                {%- do models[parent].children.append(unique_id) -%}
            {%- endfor -%}
        {%- endfor -%}
        {%- do memory.update({'models': models}) -%}
    {%- endif -%}
    {{- return(memory['models']) -}}
{%- endmacro %}
