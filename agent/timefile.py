"""What is known about time, as it is kept on disk. Pure."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any, TypeVar

from agent.model import Trust
from agent.trust import Anchor, Belief, Doubt, Line, Reason, Word

T = TypeVar("T")

FILE = "time.json"
"""In the state directory: written by the one who watches the clock, read by everybody who labels."""
CONFIRMED_FILE = "time-confirmed.json"
"""In the state directory: the newest word of a person for the time."""
SIGNED_FILE = "time-signed.json"
"""In the state directory: the newest word of the centre, of which its signature was checked."""
MAGIC = "pasu-time"
VERSION = 1


def encode(belief: Belief, untold: list[dict[str, Any]]) -> str:
    """Write a belief as one line of JSON, with the facts that are not yet in the ledger."""
    body = {"magic": MAGIC, "version": VERSION, **asdict(belief), "untold": untold}
    return json.dumps(body, ensure_ascii=False, sort_keys=True, separators=(",", ":")) + "\n"


def decode(text: str) -> tuple[Belief, list[dict[str, Any]]]:
    """Read what `encode` wrote. Raises ValueError for anything else."""
    try:
        return _decode(json.loads(text))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"not a record of time: {error}") from None


def encode_word(word: Word) -> str:
    """Write a word for the time as one line of JSON."""
    return json.dumps(asdict(word), ensure_ascii=False, sort_keys=True, separators=(",", ":")) + "\n"


def decode_word(text: str) -> Word:
    """Read what `encode_word` wrote. Raises ValueError for anything else."""
    try:
        return _of(Word, json.loads(text))
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"not a word for the time: {error}") from None


def _decode(body: dict[str, Any]) -> tuple[Belief, list[dict[str, Any]]]:
    if body.pop("magic") != MAGIC or body.pop("version") != VERSION:
        raise ValueError("another format")
    untold, doubts = body.pop("untold"), body.pop("doubts")
    if not isinstance(untold, list) or not isinstance(doubts, list):
        raise TypeError("no list")
    for fact in untold:
        _check({"kind": fact["kind"], "trust": Trust(fact["trust"]).value, "at_ms": fact["at_ms"]})
        if not isinstance(fact["body"], dict):
            raise TypeError("a fact without a body")
    anchor = body.pop("anchor")
    belief = Belief(
        state=Trust(body.pop("state")),
        reason=Reason(body.pop("reason")),
        line=_of(Line, body.pop("line")),
        anchor=None if anchor is None else _of(Anchor, anchor),
        doubts=tuple(_of(Doubt, doubt) for doubt in doubts),
        heard=_two(*body.pop("heard")),
        **_check({"known_from_ms": body.pop("known_from_ms"), "refused_ms": body.pop("refused_ms"), **body}),
    )
    if belief.state is not Trust.UNTRUSTED and belief.anchor is None:
        raise ValueError("trust without an anchor")
    return belief, untold


def _of(kind: type[T], fields: dict[str, Any]) -> T:
    return kind(**_check(fields))


def _two(one: int, other: int) -> tuple[int, int]:
    _check({"one_ms": one, "other_ms": other})
    return one, other


def _check(fields: dict[str, Any]) -> dict[str, Any]:
    """Ask that what is called ..._ms is a whole number, and everything else text."""
    for name, value in fields.items():
        if type(value) is not (int if name.endswith("_ms") else str):
            raise TypeError(f"{name} is {value!r}")
    return fields
