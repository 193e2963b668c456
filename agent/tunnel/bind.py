"""Sockets that leave by one interface only, whatever the routes say."""

from __future__ import annotations

import socket


def bind_to(connection: socket.socket, interface: str) -> None:
    """Bind a socket to an interface, before it connects. No right is needed for it (Linux 5.7).

    A packet of it leaves by that interface or not at all: also when the interface is deleted, and when the process is
    killed and the kernel goes on sending what is left.
    Raises OSError when there is no such interface
    """
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0")
