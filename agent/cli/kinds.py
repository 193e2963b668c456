"""Kinds of facts, for people."""

from __future__ import annotations

from agent.language import say

KINDS = {
    "box.started": ("시작", "started"),
    "box.stopped": ("멈춤", "stopped"),
    "box.flapping": ("자주 다시 시작함", "starts again and again"),
    "segment.committed": ("조각 저장", "segment stored"),
    "segment.salvaged": ("조각 건져냄", "segment salvaged"),
    "segment.erased": ("조각 삭제", "segment erased"),
    "segment.lost": ("조각 잃음", "segment lost"),
    "segment.restored": ("조각 되돌림", "segment restored"),
    "segment.quarantined": ("파일 격리", "file quarantined"),
    "vault.foreign_files": ("저장소에 다른 파일이 있음", "other files in the vault"),
    "retention.confirmed": ("자동 삭제 확인", "automatic erasure confirmed"),
    "gap": ("빠진 구간", "gap"),
    "camera.connected": ("카메라 연결", "camera connected"),
    "camera.lost": ("카메라 끊김", "camera lost"),
    "camera.audio_offered": ("카메라가 소리를 제안함 (받지 않음)", "camera offered sound (not taken)"),
    "camera.uninvited_data": ("카메라가 청하지 않은 것을 보냄", "camera sent what was not asked for"),
    "camera.poisoned": ("카메라가 녹화 프로세스를 거듭 죽임", "camera keeps killing its worker"),
    "camera.restored": ("카메라가 돌아옴", "camera restored"),
    "clock.step": ("시계가 뜀", "clock stepped"),
    "clock.trusted": ("시각을 믿을 수 있게 됨", "time trusted"),
    "clock.untrusted": ("시각을 믿을 수 없게 됨", "time not trusted"),
    "clock.confirmed": ("시각 확인", "time confirmed"),
    "time.relabelled": ("시각을 고쳐 적음", "times relabelled"),
    "time.unplaced": ("시각을 고칠 수 없음", "times that cannot be placed"),
    "condition.raised": ("이상 알림", "condition raised"),
    "condition.cleared": ("이상 풀림", "condition cleared"),
    "config.applied": ("설정 적용", "configuration applied"),
    "hold.placed": ("보존 시작", "hold placed"),
    "hold.released": ("보존 끝", "hold released"),
    "hold.review_due": ("보존 검토일", "hold to be reviewed"),
    "hold.restored": ("보존 되살림", "hold restored"),
    "key.created": ("서명 키 만듦", "signing key made"),
    "key.used": ("서명 키 사용", "signing key used"),
    "ledger.began": ("원장을 새로 시작함", "ledger begun anew"),
    "ledger.pruned": ("오래된 기록 정리", "old entries let go"),
    "catalogue.rebuilt": ("목록을 다시 만듦", "catalogue rebuilt"),
    "tamper.ledger": ("원장이 고쳐짐", "ledger was tampered with"),
    "segment.shredded": ("반출 뒤 조각 삭제 마침", "erasure finished after an export"),
    "export.requested": ("반출 요청", "export asked for"),
    "export.bundled": ("증거 반출", "evidence handed out"),
    "export.sent": ("반출 전송됨", "export sent"),
    "export.received": ("반출 수령됨", "export received"),
    "export.cancelled": ("반출 취소", "export cancelled"),
    "export.recalled": ("반출 회수", "export taken back"),
    "export.expired": ("반출 기한 지남", "export lapsed"),
    "export.destroyed": ("반출본 파기", "handed-out copy destroyed"),
    "worker.lost": ("녹화 프로세스를 잃음", "recording process lost"),
    "storage.failed": ("디스크 고장", "disk failed"),
    "storage.moved": ("다른 디스크로 옮김", "moved to another disk"),
    "storage.recovered": ("디스크 회복", "disk recovered"),
    "command.accepted": ("명령 받음", "command accepted"),
    "command.refused": ("명령 거절", "command refused"),
    "stream.started": ("실시간 영상 시작", "live stream started"),
    "stream.stopped": ("실시간 영상 끝", "live stream stopped"),
}


def kind_name(kind: str) -> str:
    """Return what a kind is called; one that is not known is shown as it is."""
    return say(*KINDS[kind]) if kind in KINDS else kind
