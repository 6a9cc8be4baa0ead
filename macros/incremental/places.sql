{#-
  The places of which the model has no row: it has rows for each place in which fish of several
  batches may stand (published_by `places`), and delete_pending has removed those that are out of
  date. These are the places of pending batches, and places whose fingerprint is another one,
  because a batch has left, or other limits hold. The model's meta tells:

  places   `model`: made before it, with a row for each place, and as `inputs_hash` a fingerprint of
           what the place's rows follow from besides what its batches' changes tell of; `stays`:
           likewise, with the places of each batch; `columns`: those that name a place, in all
-#}
{% macro outdated_places(model_name) -%}
    {%- set places = ref(model_name) -%}
    {%- if is_scoped() -%}
        (
            select present.* from {{ places }} as present
            where
                not exists (
                    select 1 from {{ this }} as stored
                    where {{ same_place('present', 'stored') }}
                )
        ) as {{ model_name }}
    {%- else -%}
        {{ places }}
    {%- endif -%}
{%- endmacro %}


{#- The condition that two rows are of one place. -#}
{% macro same_place(one, other) -%}
    {%- for column in model.config.meta.get('places').columns -%}
        {{ 'and ' if not loop.first }}{{ one }}.{{ column }} = {{ other }}.{{ column }}
        {{- ' ' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}
