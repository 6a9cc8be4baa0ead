"""Put the page together: template, style, script, charts, catalogue and data, in one file."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Iterable
from datetime import date
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any, Final

from anchorline.report.data import EPOCH, BatchData
from anchorline.report.packing import pack
from anchorline.report.summary import curves, listed, summaries

CALLOUT_PERCENT: Final = 5
"""Distance from the plan beyond which the page calls attention to it, as the operational system."""

WEEKLY_FROM_DAYS: Final = 180
"""Days of life from which on the page shows weeks unless days are asked for."""

VENDORED: Final = ("LICENSE", "NOTICE", "LICENSE-zrender", "LICENSE-d3")


def locales() -> list[str]:
    """Return the locales for which there is a catalogue of texts."""
    return sorted(
        entry.name.removesuffix(".json")
        for entry in _folder().joinpath("locales").iterdir()
        if entry.name.endswith(".json")
    )


def page(data: Iterable[BatchData], *, locale: str = "en", written_on: date) -> str:
    """Return the page as HTML: one file that loads nothing and sends nothing."""
    catalogue = json.loads(_content("locales", f"{locale}.json"))
    packed: list[str] = []
    batches: list[dict[str, Any]] = []
    for entry in data:
        packed.append(
            f'<script type="text/plain" id="batch-{entry.batch.batch_id}">'
            f"{pack(entry.tables)}</script>"
        )
        batches.append(_listed_batch(entry))
    batches.sort(key=lambda batch: batch["batch_number"])
    index = {
        "locale": locale,
        "written_on": _day(written_on),
        "callout_percent": CALLOUT_PERCENT,
        "weekly_from_days": WEEKLY_FROM_DAYS,
        "texts": catalogue,
        "batches": batches,
    }
    style = _content("page.css")
    scripts = [
        _content("vendor", "echarts.min.js"),
        *(_content(name) for name in ("unpack.js", "charts.js", "page.js")),
    ]
    values = {
        "locale": html.escape(locale),
        "title": html.escape(catalogue["title"]),
        "noscript": html.escape(catalogue["noscript"]),
        "policy": html.escape(_policy(style, scripts)),
        "style": f"<style>{style}</style>",
        "index": f'<script type="application/json" id="index">{_json(index)}</script>',
        "batches": "\n".join(packed),
        "licences": html.escape("\n\n".join(_content("vendor", name) for name in VENDORED)),
        "scripts": "\n".join(f"<script>{script}</script>" for script in scripts),
    }
    first, *rest = _content("page.html").split("{{")
    pieces = [first]
    for part in rest:
        name, _, text = part.partition("}}")
        pieces += [values[name], text]
    return "".join(pieces)


def _listed_batch(data: BatchData) -> dict[str, Any]:
    batch = data.batch
    return {
        "batch_id": batch.batch_id,
        "batch_number": batch.batch_number,
        "batch_status": batch.batch_status,
        "species_name": batch.species_name,
        "scenario_id": batch.scenario_id,
        "scenario_name": batch.scenario_name,
        "scenario_source": batch.scenario_source,
        "start_date": _day(batch.start_date),
        "containers": [
            {"id": container.id, "name": container.name, "place": container.place}
            for container in data.containers
        ],
        "scenarios": [{"id": plan.id, "name": plan.name} for plan in data.scenarios],
        "curves": curves(data),
        "summaries": [listed(summary) for summary in summaries(data)],
    }


def _day(found: date) -> int:
    return (found - EPOCH).days


def _json(value: Any) -> str:
    """Return JSON that cannot end the script element which it stands in, nor begin a comment."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _policy(style: str, scripts: list[str]) -> str:
    """Return a policy under which only these scripts run, and nothing is loaded or sent.

    Styles of single elements are let through: charts are drawn with them, and they load nothing.
    """
    allowed = " ".join(_hash(script) for script in scripts)
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src {allowed}",
            f"style-src-elem {_hash(style)}",
            "style-src-attr 'unsafe-inline'",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )


def _hash(content: str) -> str:
    digest = hashlib.sha256(content.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _folder() -> Traversable:
    return resources.files("anchorline.report")


@cache
def _content(*path: str) -> str:
    """Return a file of this package; a browser reads every line end as one character."""
    text = _folder().joinpath(*path).read_text(encoding="utf-8")
    return text.replace("\r\n", "\n").replace("\r", "\n")
