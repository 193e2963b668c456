"""What `pasu ledger verify` found, in words and in JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.language import say

if TYPE_CHECKING:
    from agent.storage.proof.audit import Audit, Finding, Opinion


def as_json(found: Audit) -> dict[str, Any]:
    """Return what was found, for programs."""
    return {
        "ledger": found.ledger_id,
        "size": found.size,
        "entries": found.entries,
        "let_go": found.let_go,
        "root": found.root.hex(),
        "good": found.good,
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


def show(found: Audit) -> None:
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
                f"맞는 검증점: {count}개, 가장 나중 것은 {last.checkpoint.size}번까지 ({last.name})",
                f"checkpoints that agree: {count}, the latest up to entry {last.checkpoint.size} ({last.name})",
            )
        )
    else:
        print(say("견줄 검증점이 없습니다.", "There is no checkpoint to compare with."))
    for finding in found.findings:
        print(_finding_text(finding))
    for opinion in found.opinions:
        if not opinion.verdict.good:
            print(_opinion_text(opinion))
    if found.good:
        print(say("바뀌거나 빠진 기록이 없습니다.", "No entry was changed, and none is missing."))
    if any(one.verdict is Verdict.TRUNCATED or one.verdict is Verdict.FORKED for one in found.opinions):
        print(
            say(
                "박스를 그대로 두고 관제센터에 알리십시오.",
                "Leave the box as it is, and tell the control centre.",
            )
        )


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


def _opinion_text(opinion: Opinion) -> str:
    size, name, first = opinion.checkpoint.size, opinion.name, opinion.from_seq
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
            f"다른 원장의 검증점: {name} ({opinion.checkpoint.ledger_id})",
            f"a checkpoint of another ledger: {name} ({opinion.checkpoint.ledger_id})",
        ),
        "bad_signature": (f"서명이 이 박스의 것이 아님: {name}", f"not signed by this box: {name}"),
    }
    return say(*texts[opinion.verdict.value])
