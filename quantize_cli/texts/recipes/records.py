"""What programs write for programs: JSON, YAML, TOML, CSV, XML, logs and tables, of made-up shops and stations."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from quantize_cli.texts.model import Document
from quantize_cli.texts.recipes.draw import Draw

_PEOPLE = (
    "Ada Lind",
    "Bao Nguyen",
    "Carla Mota",
    "Dario Rossi",
    "Efua Mensah",
    "Farid Haddad",
    "Greta Holm",
    "Hiro Sato",
)
_PLACES = ("Harwick", "Port Ellery", "Lund", "Kisumu", "Valdivia", "Kanazawa", "Tartu", "Mysore", "Leeds", "Oaxaca")
_GOODS = ("enamel mug", "wool blanket", "desk lamp", "chess set", "rain jacket", "garden fork", "tea pot", "notebook")
_TAGS = ("new", "sale", "fragile", "gift", "outdoor", "kitchen", "handmade", "refurbished")
_SERVICES = ("gateway", "orders", "billing", "search", "mailer", "inventory")
_START = datetime(2024, 3, 1, tzinfo=UTC)


def records() -> tuple[Document, ...]:
    """Make documents of records; every run makes the same ones."""
    documents = []
    for round_ in (1, 2, 3):
        for name, make in _FORMS.items():
            name = f"json/{name} {round_}"
            documents.append(Document(name, "json", make(Draw(name))))
    return tuple(documents)


def _time(draw: Draw) -> str:
    return (_START + timedelta(seconds=draw.number(0, 40_000_000))).strftime("%Y-%m-%dT%H:%M:%SZ")


def _some(draw: Draw, values: Sequence[str], most: int) -> list[str]:
    return list(dict.fromkeys(draw.one(values) for _ in range(draw.number(0, most))))


def _code(draw: Draw, digits: int) -> str:
    return "".join(draw.one("0123456789abcdef") for _ in range(digits))


def _order(draw: Draw) -> dict[str, Any]:
    prices = [draw.number(190, 12_900) for _ in range(draw.number(1, 4))]
    counts = [draw.number(1, 5) for _ in prices]
    lines = [
        {"sku": _code(draw, 6).upper(), "name": draw.one(_GOODS), "quantity": count, "price": price / 100}
        for count, price in zip(counts, prices, strict=True)
    ]
    return {
        "id": draw.number(100_000, 999_999),
        "created_at": _time(draw),
        "status": draw.one(("paid", "shipped", "returned", "cancelled")),
        "customer": {
            "name": draw.one(_PEOPLE),
            "email": None if draw.share() < 0.2 else f"user{draw.number(1, 99)}@example.org",
            "address": {"city": draw.one(_PLACES), "postcode": f"{draw.number(10_000, 99_999)}"},
        },
        "lines": lines,
        "total": sum(count * price for count, price in zip(counts, prices, strict=True)) / 100,
        "tags": _some(draw, _TAGS, 3),
        "gift": draw.share() < 0.3,
    }


def _orders(draw: Draw) -> str:
    return json.dumps({"page": draw.number(1, 9), "orders": [_order(draw) for _ in range(5)]}, indent=2)


def _lines(draw: Draw) -> str:
    return "\n".join(json.dumps(_order(draw), separators=(",", ":")) for _ in range(6))


def _schema(draw: Draw) -> str:
    fields: dict[str, Any] = {}
    for name in ("station", "operator", "readings", "altitude", "active", "installed_on", "labels"):
        fields[name] = draw.one(
            (
                {"type": "string", "minLength": 1, "maxLength": draw.number(20, 200)},
                {"type": "integer", "minimum": 0, "maximum": draw.number(10, 9000)},
                {"type": "array", "items": {"type": "number"}, "maxItems": draw.number(2, 60)},
                {"type": ["boolean", "null"], "default": None},
                {"type": "string", "format": "date", "description": f"As printed on the plate in {draw.one(_PLACES)}."},
                {"enum": [tag for tag in _TAGS if draw.share() < 0.5] or ["new"]},
            )
        )
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Station",
        "type": "object",
        "properties": fields,
        "required": [name for name in fields if draw.share() < 0.6],
        "additionalProperties": False,
    }
    return json.dumps(schema, indent=4)


def _yaml(draw: Draw) -> str:
    lines = ["version: 2", "services:"]
    for service in _SERVICES:
        lines += [
            f"  {service}:",
            f"    image: registry.example.org/{service}:{draw.number(1, 4)}.{draw.number(0, 20)}.{draw.number(0, 9)}",
            f"    replicas: {draw.number(1, 6)}",
            "    ports:",
            f'      - "{draw.number(8000, 8999)}:80"',
            "    environment:",
            f"      LOG_LEVEL: {draw.one(('debug', 'info', 'warning'))}",
            f"      TIMEOUT_SECONDS: {draw.number(1, 90)}",
            f"      FEATURES: [{', '.join(_some(draw, _TAGS, 4))}]",
            "    resources:",
            f"      limits: {{cpu: {draw.number(1, 8) / 2}, memory: {draw.one((128, 256, 512, 1024))}Mi}}",
        ]
    return "\n".join(lines)


def _toml(draw: Draw) -> str:
    parts = ['title = "Weather stations"', f"updated = {_time(draw)}"]
    parts += [
        f"\n[[station]]\nname = {json.dumps(place)}\nlatitude = {draw.number(-6000, 6900) / 100}\n"
        f"longitude = {draw.number(-17_000, 17_900) / 100}\nheight_m = {draw.number(1, 2400)}\n"
        f"sensors = {json.dumps(_some(draw, ('wind', 'rain', 'pressure', 'snow', 'sun'), 4))}\n"
        f"active = {'true' if draw.share() < 0.8 else 'false'}"
        for place in _PLACES[: draw.number(6, 9)]
    ]
    return "\n".join(parts)


def _csv(draw: Draw) -> str:
    lines = ["date,place,temperature_c,humidity_percent,wind_ms,remark"]
    for day in range(45):
        remark = draw.one(("", "", "", "sensor cleaned", '"gusts, later rain"', "battery low"))
        date = (_START + timedelta(days=day)).strftime("%Y-%m-%d")
        lines.append(
            f"{date},{draw.one(_PLACES)},{draw.number(-120, 340) / 10},{draw.number(20, 100)},"
            f"{draw.number(0, 240) / 10},{remark}"
        )
    return "\n".join(lines)


def _log(draw: Draw) -> str:
    now, lines = _START, []
    for _ in range(32):
        now += timedelta(milliseconds=draw.number(2, 90_000))
        status = draw.one((200, 200, 200, 304, 404, 500))
        level, what = draw.one(
            (
                ("INFO", f"GET /api/items/{draw.number(1, 9999)} {status} {draw.number(1, 900)}ms"),
                ("INFO", f"job {_code(draw, 8)} finished in {draw.number(1, 400) / 10} s"),
                ("DEBUG", f"cache miss for key user:{draw.number(1, 9999)}:cart"),
                ("WARN", f"slow query ({draw.number(300, 9000)} ms): SELECT * FROM orders WHERE id = {status}"),
                ("ERROR", f"retry {draw.number(1, 5)} of 5: connection to {draw.one(_SERVICES)} refused"),
            )
        )
        stamp = now.strftime("%Y-%m-%d %H:%M:%S,%f")[:-3]
        lines.append(f"{stamp} {level:<5} [{draw.one(_SERVICES)}-{draw.number(1, 4)}] {what}")
    return "\n".join(lines)


def _xml(draw: Draw) -> str:
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', "<catalogue>"]
    for _ in range(10):
        lines += [
            f'  <item id="{_code(draw, 6)}" stock="{draw.number(0, 250)}">',
            f"    <name>{draw.one(_GOODS)}</name>",
            f'    <price currency="{draw.one(("EUR", "SEK", "KES"))}">{draw.number(190, 12_900) / 100:.2f}</price>',
            *(f"    <tag>{tag}</tag>" for tag in _some(draw, _TAGS, 3)),
            "  </item>",
        ]
    return "\n".join([*lines, "</catalogue>"])


def _table(draw: Draw) -> str:
    lines = ["| Place | Visitors | Change | Opened | Contact |", "|---|---:|---:|---|---|"]
    lines += [
        f"| {place} | {draw.number(200, 90_000):,} | {draw.number(-250, 400) / 10:+.1f} % | "
        f"{draw.number(1890, 2023)} | {draw.one(_PEOPLE)} |"
        for place in _PLACES
    ]
    return "\n".join(lines)


def _call(draw: Draw) -> str:
    calls = [
        {
            "jsonrpc": "2.0",
            "id": i,
            "method": f"{draw.one(_SERVICES)}.{draw.one(('list', 'get', 'update', 'delete'))}",
            "params": {
                "filter": {"city": draw.one(_PLACES), "tags": _some(draw, _TAGS, 2)},
                "limit": draw.number(1, 100),
            },
        }
        for i in range(1, 13)
    ]
    return json.dumps(calls, indent=1)


#: Form -> what makes a document of it.
_FORMS: dict[str, Callable[[Draw], str]] = {
    "orders": _orders,
    "order lines": _lines,
    "schema": _schema,
    "services.yaml": _yaml,
    "stations.toml": _toml,
    "weather.csv": _csv,
    "server.log": _log,
    "catalogue.xml": _xml,
    "visitors.md": _table,
    "calls": _call,
}
