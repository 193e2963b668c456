"""The example of what a contractor may do as root, asked of sudo itself: these commands, and none beside them."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.docs.test_guide import commands
from tests.peer import need

FILE = Path(__file__).parents[2] / "packaging/pasu-care.sudoers"
INSIDE = """
set -e
mount -t tmpfs none {0}
mkdir {0}/bin
printf '#!/bin/sh\\n' > {0}/bin/pasu
chmod 755 {0}/bin {0}/bin/pasu
for name in passwd group; do cp /etc/$name {0}/$name; done
echo 'kim:x:4711:4711::/:/bin/sh' >> {0}/passwd
echo 'lee:x:4712:4712::/:/bin/sh' >> {0}/passwd
printf 'pasu-care:x:4711:kim\\nlee:x:4712:\\n' >> {0}/group
printf 'Defaults secure_path="/usr/sbin:/usr/bin:/sbin:/bin"\\n' > {0}/sudoers
cat {1} >> {0}/sudoers
chmod 440 {0}/sudoers
for name in passwd group sudoers; do mount --bind {0}/$name /etc/$name; done
mount -t overlay overlay -o lowerdir={0}/bin:/usr/bin /usr/bin
while read -r line; do
    eval "set -- $line"
    if sudo -n -l -U "$@" > {0}/said 2>&1; then echo "yes $(cat {0}/said)"; else echo no; fi
done
"""


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory):
    """Tell of each command line whether a user may have it run as root."""
    need("visudo")
    assert os.geteuid() == 0, "run as root: sudo reads /etc/sudoers, and a name space of mounts is needed"
    place = tmp_path_factory.mktemp("care")

    def may(user: str, *lines: str) -> list[bool]:
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", INSIDE.format(place, FILE)],
            input="".join(f"{user} -- {line}\n" for line in lines),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        said = done.stdout.splitlines()
        assert len(said) == len(lines), done.stdout
        return [each.startswith("yes /usr/bin/") for each in said]

    return may


CARE = [
    "pasu status",
    "pasu status --once",
    "pasu health",
    "pasu health --json",
    "pasu segments cam01",
    "pasu segments north-gate-2 --from -1d",
    "pasu camera accept cam01",
    "pasu aim cam01",
    "pasu doctor",
    "pasu doctor --json",
    "pasu clock",
    "pasu tunnel status",
    "pasu fence status",
    "pasu update status",
    "systemctl poweroff",
    "systemctl reboot",
]
MORE = [
    "pasu",
    "pasu status --config /tmp/agent.toml",
    "pasu status --once --config /tmp/agent.toml",
    "pasu health --config=/tmp/agent.toml",
    "pasu segments cam01 --config /tmp/agent.toml",
    "pasu segments --config",
    "pasu segments 'cam01 --config /tmp/agent.toml'",
    "pasu segments cam01 --from -1d --config /tmp/agent.toml",
    "pasu camera accept --config /tmp/agent.toml",
    "pasu camera accept cam01 --by Lee",
    "pasu camera accept --config=/tmp/agent.toml",
    "pasu aim cam01 --config /tmp/agent.toml",
    "pasu doctor --canary /etc/shadow",
    "pasu doctor --config /tmp/agent.toml",
    "pasu init --answers /tmp/answers.toml",
    "pasu discover",
    "pasu secrets show",
    "pasu secrets set cam01",
    "pasu clock confirm --yes",
    "pasu hold list",
    "pasu export list",
    "pasu pass issue",
    "pasu tunnel down",
    "pasu update apply /tmp/x.deb",
    "pasu open -i key x.age",
    "pasu run",
    "systemctl status",
    "systemctl status pasu-record",
    "systemctl stop pasu-record",
    "systemctl poweroff --root=/tmp",
    "systemctl reboot --firmware-setup",
    "systemctl edit pasu-record",
    "journalctl",
    "sh",
    "cat /etc/pasu/secrets.sealed",
]


def test_h11_sudo_reads_it_and_lets_a_contractor_do_what_it_names_and_nothing_else(ask) -> None:
    done = subprocess.run([need("visudo"), "-c", "-f", FILE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warning" not in (done.stdout + done.stderr).lower()
    assert dict(zip(CARE, ask("kim", *CARE), strict=True)) == dict.fromkeys(CARE, True)
    assert dict(zip(MORE, ask("kim", *MORE), strict=True)) == dict.fromkeys(MORE, False)
    assert not any(ask("lee", *CARE))


def test_each_command_in_it_exists_and_no_star_takes_in_blanks() -> None:
    lines = [line for line in FILE.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    named = re.findall(r"/usr/bin/pasu ([^,\\]+)", "\n".join(lines))
    known = commands()
    assert len(named) >= 12
    for each in named:
        words = shlex.split(each.strip().strip("^$"))
        length = max(n for n in range(len(words) + 1) if " ".join(words[:n]) in known)
        assert length, each
        for option in (word for word in words[length:] if word.startswith("--")):
            assert option in known[" ".join(words[:length])]._option_string_actions, each
        assert "*" not in each or each.strip().startswith("^"), each
        assert ".*" not in each
    assert "/*" not in "\n".join(lines)
