"""Start a program under the system calls that a unit leaves it, where no systemd runs.

    python -m tests.sandbox systemd/pasu-record.service -- pasu record --config agent.toml

What is applied is what systemd applies: `SystemCallFilter=` (groups as systemd-analyze lists them) with its
`SystemCallErrorNumber=`, `ProtectClock=`, `MemoryDenyWriteExecute=`, `RestrictAddressFamilies=`, `NoNewPrivileges=` and
`CapabilityBoundingSet=`. Mounts, namespaces and addresses are the virtual machine's to try.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import mmap
import os
import socket
import subprocess
import sys
from pathlib import Path

ALLOW = 0x7FFF0000
EQUAL, MASKED_EQUAL = 4, 7  # SCMP_CMP_EQ, SCMP_CMP_MASKED_EQ
LESS, GREATER = 2, 6  # SCMP_CMP_LT, SCMP_CMP_GT
NNP, DROP = 38, 24  # PR_SET_NO_NEW_PRIVS, PR_CAPBSET_DROP
CAPABILITIES = 41
NUMBERS = {
    "CAP_DAC_OVERRIDE": 1,
    "CAP_DAC_READ_SEARCH": 2,
    "CAP_NET_ADMIN": 12,
    "CAP_SYS_RAWIO": 17,
    "CAP_SYS_ADMIN": 21,
}  # linux/capability.h
UNKNOWN = -1


class Compare(ctypes.Structure):
    """`struct scmp_arg_cmp` of seccomp.h."""

    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("datum_a", ctypes.c_uint64),
        ("datum_b", ctypes.c_uint64),
    )


def settings(unit: Path, name: str) -> list[str]:
    """Return the values of a setting, in order."""
    lines = unit.read_text(encoding="utf-8").splitlines()
    return [line.split("=", 1)[1].strip() for line in lines if line.startswith(f"{name}=")]


@functools.cache
def calls(group: str) -> frozenset[str]:
    """Return the calls of a group of systemd's."""
    done = subprocess.run(
        ["systemd-analyze", "syscall-filter", group], capture_output=True, text=True, check=True, timeout=60
    )
    found: set[str] = set()
    for line in done.stdout.splitlines()[1:]:
        word = line.strip()
        if word and not word.startswith("#"):
            found |= calls(word) if word.startswith("@") else {word}
    return frozenset(found)


def allowed(unit: Path) -> set[str]:
    """Return the calls that a unit leaves its processes."""
    found: set[str] = set()
    for value in settings(unit, "SystemCallFilter"):
        names = value.removeprefix("~").split()
        meant = {each for name in names for each in (calls(name) if name.startswith("@") else {name})}
        found = found - meant if value.startswith("~") else found | meant
    # Filters of their own, which refuse whatever the other one names.
    return found - (calls("@clock") if settings(unit, "ProtectClock") == ["yes"] else set())


def apply(unit: Path) -> None:
    """Leave this process, and all that it starts, no more than the unit does."""
    libc = ctypes.CDLL(None, use_errno=True)
    library = ctypes.CDLL("libseccomp.so.2")
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_init.argtypes = [ctypes.c_uint32]
    library.seccomp_rule_add_array.argtypes = [
        ctypes.c_void_p,
        ctypes.c_uint32,
        ctypes.c_int,
        ctypes.c_uint,
        ctypes.POINTER(Compare),
    ]
    library.seccomp_load.argtypes = [ctypes.c_void_p]
    refusal = 0x00050000 | getattr(errno, (settings(unit, "SystemCallErrorNumber") or ["EPERM"])[-1])

    def rule(context: int, action: int, name: str, *compared: Compare) -> None:
        number = library.seccomp_syscall_resolve_name(name.encode())
        if number == UNKNOWN:
            return  # of another architecture
        array = (Compare * len(compared))(*compared)
        failed = library.seccomp_rule_add_array(context, action, number, len(compared), array)
        assert failed in {0, -errno.EDOM, -errno.EINVAL}, (name, failed)

    named = allowed(unit)
    context = library.seccomp_init(refusal)
    for name in named:
        rule(context, ALLOW, name)
    contexts = [context]
    if settings(unit, "MemoryDenyWriteExecute") == ["yes"]:
        context = library.seccomp_init(ALLOW)
        both, run = mmap.PROT_WRITE | mmap.PROT_EXEC, mmap.PROT_EXEC
        rule(context, refusal, "mmap", Compare(2, MASKED_EQUAL, both, both))
        rule(context, refusal, "mprotect", Compare(2, MASKED_EQUAL, run, run))
        rule(context, refusal, "pkey_mprotect", Compare(2, MASKED_EQUAL, run, run))
        contexts.append(context)
    for families in settings(unit, "RestrictAddressFamilies"):
        numbers = sorted(int(getattr(socket, name)) for name in families.split() if name != "none")
        context = library.seccomp_init(ALLOW)
        other = 0x00050000 | errno.EAFNOSUPPORT
        for number in range(socket.AF_VSOCK + 8):
            if number not in numbers:
                rule(context, other, "socket", Compare(0, EQUAL, number, 0))
        contexts.append(context)
    kept = {NUMBERS[name] for value in settings(unit, "CapabilityBoundingSet") for name in value.split()}
    for number in range(CAPABILITIES):
        if number not in kept:
            libc.prctl(DROP, number, 0, 0, 0)
    assert libc.prctl(NNP, 1, 0, 0, 0) == 0
    # The last one decides about loading others.
    for context in reversed(contexts):
        assert library.seccomp_load(context) == 0, os.strerror(ctypes.get_errno())


def main(arguments: list[str]) -> None:
    """Be the program."""
    unit, dashes, *command = arguments
    assert dashes == "--"
    apply(Path(unit))
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
