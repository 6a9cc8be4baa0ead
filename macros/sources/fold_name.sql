{#
    A name folded to its letters and digits in lower case: `Egg&Alevin`, `EGG_ALEVIN` and
    `egg alevin` are one stage.

    Not `regexp_replace(lower(name), '[^[:alnum:]]', '', 'g')`: in a database with the C locale
    both halves know ASCII only, and would drop `å` and tell `Æ` from `æ`. So the capitals beyond
    ASCII are listed (their small letters follow from them), and what goes is punctuation, blanks
    and control characters, by code point. The same result in every locale.
#}
{% macro fold_name(expression) -%}
    {%- set latin = 'ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÐÑÒÓÔÕÖØÙÚÛÜÝÞĀĂĄĆĈĊČĎĐĒĔĖĘĚĜĞĠĢĤĦĨĪĬĮĴĶĹĻĽĿŁŃŅŇŊŌŎŐŒŔŖŘŚŜŞŠŢŤŦŨŪŬŮŰŲŴŶŸŹŻŽ' -%}
    {%- set greek = 'ΆΈΉΊΌΎΏΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩΪΫ' -%}
    {%- set cyrillic = 'ЀЁЂЃЄЅІЇЈЉЊЋЌЍЎЏАБВГДЕЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯҐ' -%}
    {%- set capitals = latin ~ greek ~ cyrillic -%}
    regexp_replace(
        translate(lower({{ expression }}), '{{ capitals }}', '{{ capitals | lower }}'),
        '[\u0001-/:-@\[-`{-\u00bf\u00d7\u00f7\u2000-\u206f]', '', 'g'
    )
{%- endmacro %}
