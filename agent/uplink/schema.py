"""Publishes what is said: a JSON Schema (2020-12) for each kind of message, and an AsyncAPI 3.0 document. Pure.

Both are made of the types in `payloads`, so they cannot say anything else than what is sent.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from agent.health import CONDITIONS
from agent.uplink.payloads import KINDS, TOPICS, VERSION, ChunkHeader, Facts, Health, Payload

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_PLAIN = {str: "string", int: "integer", bool: "boolean", NoneType: "null"}

# How each kind travels: QoS, retained.
DELIVERY = {
    "birth": (1, True),
    "state": (1, True),
    "health": (0, True),
    "facts": (1, False),
    "checkpoint": (1, True),
    "reply": (1, False),
    "export": (1, False),
}
COMMAND = (
    "One compact JWS (EdDSA), at most 64 KiB; a retained one is refused. What is in it: signed-commands.md."
)
RECEIVED = {
    "command": (
        "One compact JWS (EdDSA), at most 64 KiB; a retained one is refused. What is in it: signed-commands.md.",
        "application/jose",
        {"type": "string", "maxLength": 65_536},
    ),
    "receipt": (
        "How far the centre has come with an export over MQTT. What is in it: formats.md.",
        "application/json",
        {"type": "object"},
    ),
}
PLAIN = "JSON in UTF-8."
SIGNATURE = (
    "by the key of the box's certificate, ECDSA P-256 with SHA-256 as in RFC 7518, section 3.4; the last member."
    " It is over the topic, a line feed, and the payload without this member"
)
CHUNK = "One line of JSON in UTF-8, a line feed, and the bytes."
PACKED = 'JSON in UTF-8, or the same packed with gzip: JSON begins with "{", gzip with 0x1f 0x8b.'


def schemas() -> dict[str, dict[str, Any]]:
    """Return a schema for each kind of message, by its name."""
    return {kind.KIND: schema(kind) for kind in KINDS}


def schema(kind: type[Payload]) -> dict[str, Any]:
    """Return the schema of one kind."""
    made = _object(kind)
    made["properties"] = {"v": {"const": VERSION, "description": "version of the topics"}} | made[
        "properties"
    ]
    made["required"] = ["v", *made["required"]]
    if kind.SIGNED:
        made["properties"]["sig"] = {
            "type": "string",
            "pattern": "^[A-Za-z0-9_-]{86}$",
            "description": SIGNATURE,
        }
        made["required"].append("sig")
    head = {"$schema": DIALECT, "title": kind.KIND, "description": _text(kind)}
    if kind is Health:
        made["x-conditions"] = {
            code: {
                "severity": condition.severity.value,
                "title": {"ko": condition.what_korean, "en": condition.what_english},
                "next": {"ko": condition.next_korean, "en": condition.next_english},
            }
            for code, condition in CONDITIONS.items()
        }
    return head | made


def asyncapi() -> dict[str, Any]:
    """Return the AsyncAPI 3.0 document, as the box sees it: what it sends, and what it receives."""
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    for kind in KINDS:
        address = f"{TOPICS}/{{box}}/{kind.KIND}"
        parameters = {"box": {"description": "the box's id"}}
        if kind.KIND == "export":
            address += "/{export}/{n}"
            parameters |= {"export": {"description": "id of the export"}, "n": {"description": "chunk"}}
        message = {
            "name": kind.KIND,
            "summary": _text(kind),
            "description": {Facts: PACKED, ChunkHeader: CHUNK}.get(kind, PLAIN),
            "contentType": "application/json",
            "payload": {"$ref": f"./schemas/{kind.KIND}.json"},
        }
        channels[kind.KIND] = {"address": address, "parameters": parameters, "messages": {kind.KIND: message}}
        qos, retain = DELIVERY[kind.KIND]
        operations[f"send-{kind.KIND}"] = _operation("send", kind.KIND, {"qos": qos, "retain": retain})
    for name, (summary, content, payload) in RECEIVED.items():
        channels[name] = {
            "address": f"{TOPICS}/{{box}}/{name}",
            "parameters": {"box": {"description": "the box's id"}},
            "messages": {
                name: {"name": name, "summary": summary, "contentType": content, "payload": payload}
            },
        }
        operations[f"receive-{name}"] = _operation("receive", name, {"qos": 1})
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Pasu: a box and its control centre",
            "version": str(VERSION),
            "description": "MQTT 5, or 3.1.1, over TLS with certificates on both sides. See mqtt.md.",
        },
        "servers": {
            "centre": {
                "host": "10.77.0.1:8883",
                "protocol": "secure-mqtt",
                "security": [
                    {"type": "X509", "description": "issued by the city; its common name is the box's id"}
                ],
            }
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
    }


def _operation(action: str, channel: str, binding: dict[str, Any]) -> dict[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "messages": [{"$ref": f"#/channels/{channel}/messages/{channel}"}],
        "bindings": {"mqtt": binding | {"bindingVersion": "0.2.0"}},
    }


def _object(kind: type) -> dict[str, Any]:
    hints = get_type_hints(kind)
    properties, required = {}, []
    for each in fields(kind):
        optional = each.default is None
        made = _type(
            _present(hints[each.name]) if optional else hints[each.name], each.metadata.get("places")
        )
        properties[each.name] = made | {"description": each.metadata["about"]}
        if not optional:
            required.append(each.name)
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _present(hint: Any) -> Any:
    """Return what a value that may be left out is when it is there."""
    return next(inner for inner in get_args(hint) if inner is not NoneType)


def _type(hint: Any, places: tuple[str, ...] | None = None) -> dict[str, Any]:
    if hint is Any:
        return {}
    if hint in _PLAIN:
        return {"type": _PLAIN[hint]}
    if is_dataclass(hint):
        return _object(hint)  # type: ignore[arg-type]  # a class, and no value of it
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Literal:
        return {"enum": [*inner]}
    if origin in (UnionType, Union):
        return {"type": [_PLAIN[each] for each in inner]}
    if origin is list:
        return {"type": "array", "items": _type(inner[0], places)}
    if origin is dict:
        return {"type": "object", "additionalProperties": _type(inner[1], places)}
    items = [_type(each) | {"title": place} for each, place in zip(inner, places or (), strict=True)]
    return {"type": "array", "prefixItems": items, "items": False, "minItems": len(items)}


def _text(kind: type) -> str:
    """Return what a class says of itself, on one line."""
    return " ".join((kind.__doc__ or "").split())
