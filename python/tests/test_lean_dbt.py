"""What dbt is made to do in less time is what it did before."""

from __future__ import annotations

import pytest
from dbt.artifacts.resources.v1.components import InjectedCTE

from anchorline import lean_dbt

CTES = [
    InjectedCTE(id="one", sql=" one as (select 1 as a)"),
    InjectedCTE(id="two", sql=" two as (select 'with' as b)"),
]


@pytest.mark.parametrize(
    "query",
    [
        "with own as (select * from one) select * from own",
        "WITH own AS (SELECT 1) SELECT 1",
        "\n\n-- with comments;\n/* and\nwith */ with\nrecursive own as (select 1) select 1",
        "with recursive_ as (select 1) select 1",
        "/* /* nested */ */ with own as (select 1) select 1",
        "select * from (with own as (select 1) select * from own) as x",
        "select 1 as within",
        "withdrawn",
        "-- only a comment",
        "",
    ],
)
@pytest.mark.parametrize("ctes", [CTES, CTES[:1], []])
def test_ctes_are_put_where_dbt_puts_them(query: str, ctes: list[InjectedCTE]) -> None:
    def outcome(inject: object) -> object:
        try:
            return inject(query, ctes)  # type: ignore[operator]
        except Exception as error:
            return repr(error)

    assert outcome(lean_dbt.inject_ctes) == outcome(lean_dbt._inject_ctes)
