"""`pasu rebuild`: rows again for what is stored, after the catalogue was lost.

No video is opened, and nothing is erased.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any

from agent.cli.common import add_config, load_for_state
from agent.errors import StorageFault
from agent.language import say

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator
    from pathlib import Path

    from agent.config import Config
    from agent.storage.catalogue import Catalogue
    from agent.storage.keep.rebuild import Progress

WAITS_STATUS = 3
_TURN_S = 0.5
PHASES = {
    "files": ("파일", "files"),
    "gaps": ("빠진 구간", "gaps"),
    "holes": ("까닭 모를 구간", "unexplained spans"),
    "labels": ("시각 확인", "times"),
    "time": ("시각 확인을 기다림", "waiting for time to be trusted"),
    "done": ("마침", "done"),
}
REASONS = {
    "missing": ("목록이 없어졌습니다", "the catalogue was gone"),
    "damaged": ("목록이 손상되었습니다", "the catalogue was damaged"),
    "old": ("옛 목록이었습니다", "the catalogue was an old copy"),
    "vault": ("저장소가 돌아왔습니다", "a vault came back"),
}


def add(commands: Any) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "rebuild",
        help=say(
            "잃은 목록을 저장된 파일에서 다시 만듭니다", "make a lost catalogue again from what is stored"
        ),
    )
    parser.description = say(
        "목록 데이터베이스를 잃거나 손상되었을 때, 옛 목록에서 읽을 수 있는 것과 저장된 파일에서 다시 만듭니다. 영상은 "
        "열지 않으며, 아무것도 지우지 않습니다. 녹화 중에도 쓸 수 있습니다. `pasu keep`이 실행 중이면 스스로 하므로 "
        "얼마나 되었는지만 보입니다. 멈추면 같은 명령으로 이어집니다. 끝 상태: 0 마침, 3 시각을 믿을 수 있을 때까지 "
        "기다림.",
        "After the catalogue was lost or damaged, make it again: from what can be read of the old one, and from the "
        "files. No video is opened, nothing is erased, and recording may go on. While `pasu keep` runs it does this "
        "by itself, and its progress is shown. One that was stopped goes on with the same command. Exit status: 0 "
        "done, 3 it waits for the time to be trusted.",
    )
    parser.add_argument("--json", action="store_true", help=say("JSON으로 씁니다", "write JSON"))
    add_config(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Rebuild, or watch the keeper do it, and say what was done."""
    from agent.cli.bar import Bar
    from agent.clock import SystemClock
    from agent.storage.catalogue import Catalogue
    from agent.storage.locks import only_keeper
    from agent.storage.prepare import renew

    config = load_for_state(args.config)
    state = config.storage.state.absolute()
    cameras = [camera.id for camera in config.cameras]
    renew(config.storage.vaults, state, cameras, SystemClock(state).now(), box=config.box.id)
    catalogue = Catalogue.open(state)
    began_s = time.monotonic()
    try:
        try:
            lock = only_keeper(state)
        except StorageFault as fault:
            if fault.code != "KEEPING_ALREADY":
                raise
            turns = _watched(catalogue)
        else:
            turns = _turns(config, state, catalogue, lock)
        last: Progress | None = None
        with Bar(say("다시 만드는 중", "rebuilding")) as bar:
            for last in turns:
                bar.show(last.days, last.of, f"{say(*PHASES[last.phase])}  {last.files:,}")
    finally:
        catalogue.close()
    seconds = time.monotonic() - began_s
    if args.json:
        print(json.dumps(as_json(last, seconds), ensure_ascii=False, indent=1))
    else:
        _print(last, seconds)
    return WAITS_STATUS if last is not None and last.phase == "time" else 0


def _turns(config: Config, state: Path, catalogue: Catalogue, lock: int) -> Iterator[Progress]:
    """Do it, turn by turn, in the keeper's place. What is held gets its files back before."""
    from agent.clock import SystemClock
    from agent.storage.keep import holds, rebuild
    from agent.storage.keep.unread import UNREAD, unread
    from agent.storage.prepare import open_vaults

    clock = SystemClock(state)
    try:
        opened, faults = open_vaults(state, config.storage.vaults)
        for path, fault in faults.items():
            print(f"{path}: {fault}", file=sys.stderr)
        vaults = {vault.uuid: vault for vault in opened}
        holds.reconcile(catalogue, vaults, state, clock.now())
        while (progress := rebuild.advance(catalogue, vaults, state, clock.now(), _TURN_S)) is not None:
            yield progress
            if progress.done or progress.phase == "time":
                break
        for uuid in unread(catalogue.meta(UNREAD)).keys() & vaults.keys():
            what = say(
                "디스크의 일부를 읽을 수 없습니다. 읽을 수 있게 되면 `pasu keep`이 마칩니다",
                "not all of it can be read; `pasu keep` finishes it once it can",
            )
            print(f"{vaults[uuid].root}: {what}", file=sys.stderr)
    finally:
        os.close(lock)


def _watched(catalogue: Catalogue) -> Iterator[Progress]:
    """Say how far the keeper is, until it is done."""
    from agent.storage.keep import rebuild

    last: Progress | None = None
    while (progress := rebuild.reached(catalogue)) is not None:
        last = progress
        yield progress
        time.sleep(_TURN_S)
    if last is not None:
        last.phase = "done"
        yield last


def as_json(progress: Progress | None, seconds: float) -> dict[str, Any]:
    """Return the answer for programs."""
    if progress is None:
        return {"needed": False}
    return {
        "needed": True,
        "finished": progress.done,
        "phase": progress.phase,
        "reason": progress.reason,
        "files": progress.files,
        "imported": progress.imported,
        "named": progress.named,
        "left": progress.left,
        "quarantined": progress.quarantined,
        "gaps": progress.gaps,
        "seconds": round(seconds, 1),
        "files_per_s": round(progress.files / max(seconds, 0.001)),
        "cameras": {
            camera: {"segments": count[0], "start_ms": count[1], "end_ms": count[2]}
            for camera, count in sorted(progress.counts.items())
        },
    }


def _print(progress: Progress | None, seconds: float) -> None:
    if progress is None:
        print(
            say("다시 만들 것이 없습니다: 목록은 온전합니다.", "Nothing to rebuild: the catalogue is whole.")
        )
        return
    rate = round(progress.files / max(seconds, 0.001))
    reason = say(*REASONS[progress.reason]) if progress.reason in REASONS else progress.reason
    print(
        say(
            f"{reason}. 파일 {progress.files:,}개를 {seconds:.1f}초에 다시 넣었습니다 (초당 {rate:,}개): 옛 목록에서 "
            f"{progress.imported:,}개, 파일만 보고 {progress.named:,}개.",
            f"{reason}. {progress.files:,} files have their rows again after {seconds:.1f} s ({rate:,} a second): "
            f"{progress.imported:,} from an old catalogue, {progress.named:,} from the file alone.",
        )
    )
    print(
        say(
            f"격리 {progress.quarantined:,}개, 녹화기나 검사에 남긴 것 {progress.left:,}개, "
            f"빠진 구간 {progress.gaps:,}군데.",
            f"{progress.quarantined:,} quarantined, {progress.left:,} left to recorder or check, "
            f"{progress.gaps:,} gaps.",
        )
    )
    if progress.phase == "time":
        print(
            say(
                "박스의 시각을 믿을 수 있게 되면 `pasu keep`이 마칩니다. 그때까지 아무것도 지우지 않습니다: pasu clock",
                "`pasu keep` finishes once the box's time is trusted, and nothing is erased before: pasu clock",
            )
        )
