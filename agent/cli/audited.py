"""What `pasu ledger verify` found, in words and in JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.language import say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.storage.proof.audit import Audit, Finding, Opinion


CATALOGUE = "catalogue"
"""Name of the checkpoints that the catalogue keeps; every other bears its file's path."""


def as_json(found: Audit, *, good: bool) -> dict[str, Any]:
    """Return what was found, for programs."""
    return {
        "ledger": found.ledger_id,
        "size": found.size,
        "entries": found.entries,
        "let_go": found.let_go,
        "root": found.root.hex(),
        "good": good,
        "told": list(found.told),
        "findings": [
            {"what": one.what, "from_seq": one.from_seq, "to_seq": one.to_seq} for one in found.findings
        ],
        "checkpoints": [
            {
                "name": one.name,
                "size": one.checkpoint.size,
                "ledger": one.checkpoint.ledger_id,
                "verdict": one.verdict.value,
                "from_seq": one.from_seq,
            }
            for one in found.opinions
        ],
    }


def show(found: Audit, *, good: bool) -> None:
    """Print what was found, for people."""
    from agent.storage.proof.checkpoints import Verdict

    print(
        say(
            f"원장 {found.ledger_id}: 기록 {found.size}건"
            + (f" (정리된 {found.let_go}건은 해시만 있음)" if found.let_go else ""),
            f"ledger {found.ledger_id}: {found.size} entries"
            + (f" ({found.let_go} let go, of which the hash is kept)" if found.let_go else ""),
        )
    )
    agreed = [one for one in found.opinions if one.verdict.good]
    if agreed:
        last = agreed[-1]
        count = len(agreed)
        print(
            say(
                f"맞는 검증점: {count}개, 가장 나중 것은 {last.checkpoint.size}번까지 ({_place(last.name)})",
                f"checkpoints that agree: {count}, the latest up to entry {last.checkpoint.size} ({last.name})",
            )
        )
    elif not found.opinions:
        print(say("견줄 검증점이 없습니다.", "There is no checkpoint to compare with."))
    else:
        print(say("맞는 검증점이 없습니다.", "No checkpoint agrees."))
    for finding in found.findings:
        print(_finding_text(finding))
    told: dict[tuple[object, ...], list[Opinion]] = {}
    for opinion in found.opinions:
        if not opinion.verdict.good:
            same = (opinion.verdict, opinion.checkpoint.size, opinion.checkpoint.root, opinion.from_seq)
            told.setdefault(same, []).append(opinion)
    for alike in told.values():
        print(_opinion_text(alike[0], ", ".join(dict.fromkeys(_place(one.name) for one in alike))))
    if found.told:
        print(tampered_text(found.told))
    if good:
        print(say("바뀌거나 빠진 기록이 없습니다.", "No entry was changed, and none is missing."))
    broken = (Verdict.TRUNCATED, Verdict.FORKED)
    if found.findings or found.told or any(one.verdict in broken for one in found.opinions):
        print(
            say(
                "박스를 그대로 두고 관제센터에 알리십시오.",
                "Leave the box as it is, and tell the control centre.",
            )
        )


def tampered_text(seqs: Sequence[int]) -> str:
    """Say which entries tell of tampering."""
    first = ", ".join(str(seq) for seq in seqs[:8]) + (", ..." if len(seqs) > 8 else "")
    return say(
        f"원장이 고쳐진 적이 있습니다: 기록 {first} (`pasu ledger show --kind tamper`)",
        f"the ledger was tampered with before: entries {first} (`pasu ledger show --kind tamper`)",
    )


def _place(name: str) -> str:
    return say("목록", "catalogue") if name == CATALOGUE else name


def _finding_text(finding: Finding) -> str:
    span = (
        f"{finding.from_seq}-{finding.to_seq}" if finding.to_seq > finding.from_seq else f"{finding.from_seq}"
    )
    texts = {
        "missing": (f"빠짐: 기록 {span}", f"missing: entries {span}"),
        "edited": (f"바뀜: 기록 {span} 가운데", f"changed: among entries {span}"),
        "tree": (
            f"해시가 손상됨: 기록 {span} (기록은 맞음)",
            f"damaged hashes: entries {span} (themselves right)",
        ),
    }
    return say(*texts[finding.what])


def _opinion_text(opinion: Opinion, name: str) -> str:
    size, first = opinion.checkpoint.size, opinion.from_seq
    texts = {
        "truncated": (
            f"잘림: {name}은(는) {size}번까지 서명했으나 {first}번부터 없습니다",
            f"cut off: {name} signed up to entry {size}, and from {first} on there is nothing",
        ),
        "forked": (
            f"다름: {name}이(가) 서명한 {size}번까지와 다릅니다. 바뀐 곳은 {first}-{size}번 사이",
            f"other entries than {name} signed up to {size}: the change lies in {first}-{size}",
        ),
        "other_ledger": (
            f"다른 원장의 검증점이라 확인할 수 없음: {name} ({opinion.checkpoint.ledger_id})",
            f"a checkpoint of another ledger, not verified: {name} ({opinion.checkpoint.ledger_id})",
        ),
        "bad_signature": (f"서명이 이 박스의 것이 아님: {name}", f"not signed by this box: {name}"),
    }
    return say(*texts[opinion.verdict.value])
