{#
    What is known of every row of a model, in one test: dbt takes longer to run a test than most
    tables take to be read, and the large ones are read once. Each argument may be left out.

    never_null   columns that are null on no row
    unique       keys, each a column or a list of columns: no two rows have the same, nulls
                 included. Not those by which the model makes a unique index, which holds no two
    values       by column: a condition that follows its name, or a list of its values; null passes
    references   by column: the model and its field in which each value is found; null passes
    expressions  conditions, the equations of the business. A row on which one is null fails, since
                 nothing was proved there; write the case that may be null into the expression

    A row of the result says in `failed` what does not hold, and of which row or key.

        data_tests:
          - rows_are_sound:
              name: rows_of_int_anchors
              arguments:
                never_null: [assignment_id, anchor_date]
                unique: [[assignment_id, anchor_date]]
                values:
                  avg_weight_g: "> 0"
                  anchor_type: [growth_sample, transfer, vaccination]
                references:
                  assignment_id: {to: ref('int_assignments'), field: assignment_id}
                expressions:
                  - abs(biomass_kg - population * avg_weight_g / 1000) <= 0.01
#}
{% test rows_are_sound(model, never_null=[], unique=[], values={}, references={}, expressions=[]) %}
{#- each rule of a single row, with the condition by which a row breaks it -#}
{%- set broken = {} -%}
{%- for column in never_null -%}
    {%- do broken.update({column ~ ' is null': column ~ ' is null'}) -%}
{%- endfor -%}
{%- for column, wanted in values.items() -%}
    {%- set rule = column ~ ' ' ~ (
        wanted if wanted is string else "in ('" ~ wanted | join("', '") ~ "')"
    ) -%}
    {%- do broken.update({'not ' ~ rule: 'not (' ~ rule ~ ')'}) -%}
{%- endfor -%}
{%- for expression in expressions -%}
    {%- do broken.update({'not ' ~ expression: '(' ~ expression ~ ') is not true'}) -%}
{%- endfor -%}
{%- set selects = [] -%}
{%- if broken -%}
    {%- do selects.append(select_broken(model, broken)) -%}
{%- endif -%}
{%- for key in unique -%}
    {%- do selects.append(select_repeated(model, [key] if key is string else key)) -%}
{%- endfor -%}
{%- for column, found_in in references.items() -%}
    {%- do selects.append(select_missing(model, column, found_in.to, found_in.field)) -%}
{%- endfor -%}
{{ selects | join('\nunion all\n') }}
{% endtest %}
