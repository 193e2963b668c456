"""Every error code, for the person who must act: what it means and what to do next, in Korean and English.

docs/operations.md is generated from this, and errors whose raiser knows no Korean are shown with these words.
A test finds every code in the sources and asks for its entry here.
"""

from agent.cli.codes.centre import CENTRE
from agent.cli.codes.clock import CLOCK
from agent.cli.codes.code import Code
from agent.cli.codes.command import COMMAND
from agent.cli.codes.deletion import DELETION
from agent.cli.codes.discover import DISCOVER
from agent.cli.codes.doctor import DOCTOR
from agent.cli.codes.export import EXPORT
from agent.cli.codes.hold import HOLD
from agent.cli.codes.init import INIT
from agent.cli.codes.met import MET
from agent.cli.codes.page import PAGE
from agent.cli.codes.proof import PROOF
from agent.cli.codes.report import REPORT
from agent.cli.codes.stream import STREAM
from agent.cli.codes.tunnel import TUNNEL
from agent.cli.codes.typed import TYPED
from agent.cli.codes.update import UPDATE
from agent.cli.codes.uplink import UPLINK

__all__ = ["CODES", "WHO", "Code"]

# Who acts, by heading of the document: agent.errors names the classes the same way.
WHO = {
    "installer": ("설치하는 사람", "Whoever installs: configuration"),
    "types": ("명령을 친 사람", "Whoever typed the command"),
    "site": ("현장: 디스크와 저장소", "The site: disks and storage"),
    "investigator": ("영상을 여는 사람: 온전함", "The investigator: integrity"),
    "operator": ("운영하는 사람: 시각", "The operator: time"),
    "signs": ("명령에 서명한 사람", "Whoever signed the command"),
    "key": ("키를 지키는 사람", "The keeper of the keys"),
}

CODES = {
    **TYPED,
    **HOLD,
    **EXPORT,
    **DELETION,
    **CLOCK,
    **MET,
    **PROOF,
    **COMMAND,
    **CENTRE,
    **UPLINK,
    **TUNNEL,
    **STREAM,
    **PAGE,
    **DISCOVER,
    **INIT,
    **DOCTOR,
    **REPORT,
    **UPDATE,
}
