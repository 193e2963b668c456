"""What is published is what is sent."""

from __future__ import annotations

import json

import jsonschema
import pytest

from agent.consignment import encode_chunk
from agent.health import CONDITIONS
from agent.uplink import schema
from agent.uplink.payloads import (
    KINDS,
    SIGNED,
    Birth,
    CameraPlate,
    Checkpoint,
    ChunkHeader,
    FactEntry,
    Facts,
    FullCondition,
    Reply,
    State,
    read,
    topic,
    write,
)
from tests.unit.uplink.samples import LEDGER, SEAL, T0, health

SAMPLES = [
    Birth(
        box="b", session="s", n=0, at_ms=1, trust="SYNCED", boot_ms=1, boot="", versions={"pasu": "1"}, site="s",
        operator="o", retention_days=30, recipients=["age1"], ledger=LEDGER, vkey="", challenge="",
        cameras=[CameraPlate(id="c", name="n", purpose="p", legal_basis="l", owner="o", retention_days=1)],
        conditions=[
            FullCondition(code="c", severity="alarm", subject="", detail="", since_ms=1, trust="HOLDOVER")
        ],
    ),
    State(box="b", online=False, session="s", connection=1, at_ms=T0),
    health(conditions=[("vault.missing", "/v", T0)]),
    health(historical=True, vaults=[(None, None)], box_vitals=(None, None, None, None)),
    Facts(
        box="b", ledger=LEDGER, session="s", first=1, let_go=[(2, 3)],
        entries=[FactEntry(seq=1, at_ms=1, trust="SYNCED", kind="gap", body={"camera": "c", "n": [1]})],
    ),
    Checkpoint(box="b", ledger=LEDGER, note="n", at_ms=1),
    Reply(box="b", id="i", command="inspect", status="done", code="", at_ms=1, trust="SYNCED", detail={"a": 1}),
    ChunkHeader(box="b", export="e", have=0, sha256="00"),
]  # fmt: skip


def sent(payload):
    """What a message says as it goes on the wire."""
    data = write(payload)
    return read(SEAL.put(topic(payload.box, payload.KIND), data) if payload.KIND in SIGNED else data)


@pytest.mark.parametrize("kind", [kind.KIND for kind in KINDS])
def test_every_schema_is_one(kind):
    made = schema.schemas()[kind]
    jsonschema.Draft202012Validator.check_schema(made)
    assert made["description"]
    assert all("description" in each for each in made["properties"].values())


@pytest.mark.parametrize("payload", SAMPLES, ids=lambda each: each.KIND)
def test_what_is_sent_fits_and_what_is_not_does_not(payload):
    validator = jsonschema.Draft202012Validator(schema.schema(type(payload)))
    said = sent(payload)
    validator.validate(said)
    assert ("sig" in said) is (payload.KIND in SIGNED)
    for name in set(said) - {"historical", "let_go"}:
        less = {key: value for key, value in said.items() if key != name}
        assert list(validator.iter_errors(less)), name
        assert list(validator.iter_errors(said | {name: 1.5})), name
    assert list(validator.iter_errors(said | {"more": 1}))


def test_every_kind_has_a_sample():
    assert {type(each) for each in SAMPLES} == set(KINDS)


def test_a_row_with_a_place_too_many_does_not_fit():
    validator = jsonschema.Draft202012Validator(schema.schema(type(health())))
    said = sent(health())
    validator.validate(said)
    assert list(validator.iter_errors(said | {"vaults": [[1, 2, 3]]}))
    assert list(validator.iter_errors(said | {"vaults": [[1]]}))


def test_the_registry_of_conditions_is_published_in_both_languages():
    published = schema.schemas()["health"]["x-conditions"]
    assert set(published) == set(CONDITIONS)
    assert all(each["title"]["ko"] and each["title"]["en"] for each in published.values())


def test_the_asyncapi_document_has_every_kind_and_its_delivery():
    document = schema.asyncapi()
    assert document["asyncapi"] == "3.0.0"
    assert set(document["channels"]) == {kind.KIND for kind in KINDS} | {"command", "receipt"}
    assert set(schema.DELIVERY) == {kind.KIND for kind in KINDS}
    for operation in document["operations"].values():
        channel = operation["channel"]["$ref"].removeprefix("#/channels/")
        assert channel in document["channels"]
        (message,) = operation["messages"]
        assert message["$ref"] == f"#/channels/{channel}/messages/{channel}"
    for channel in document["channels"].values():
        asked = {part.strip("{}") for part in channel["address"].split("/") if part.startswith("{")}
        assert asked == set(channel["parameters"])
    json.dumps(document)


def test_a_chunk_is_headed_as_published():
    head, _, data = encode_chunk("gn-0007", "ab" * 16, 7, b"bytes\n").partition(b"\n")
    assert data == b"bytes\n"
    jsonschema.Draft202012Validator(schema.schema(ChunkHeader)).validate(json.loads(head))
