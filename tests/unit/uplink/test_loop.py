from __future__ import annotations

import contextlib
import os
import socket

from agent.uplink.loop import Loop


class Turned:
    """Something to turn: a socket pair, and when it is due."""

    def __init__(self, due_s: float = 100.0) -> None:
        self.ours, self.theirs = socket.socketpair()
        self.ours.setblocking(False)
        self.due_s = due_s
        self.wants_write = False
        self.connection = 1
        self.turns: list[float] = []

    def fileno(self) -> int:
        return self.ours.fileno()

    def turn(self, now_s: float) -> float:
        self.turns.append(now_s)
        with contextlib.suppress(OSError):
            self.ours.recv(100)
        return self.due_s

    def reconnect(self) -> None:
        """Get another socket, which the kernel gives the same number."""
        number = self.ours.fileno()
        self.ours.close()
        self.theirs.close()
        self.ours, self.theirs = socket.socketpair()
        self.ours.setblocking(False)
        assert self.ours.fileno() == number
        self.connection += 1


def test_what_is_due_is_turned_and_nothing_else():
    now = [0.0]
    loop = Loop(lambda: now[0])
    often, rarely = Turned(1.0), Turned(100.0)
    loop.add(often)
    loop.add(rarely)
    for second in range(10):
        now[0] = float(second)
        loop.turn(0)
    assert len(often.turns) == 10
    assert len(rarely.turns) == 1
    loop.close()


def test_what_is_ready_is_turned_before_it_is_due():
    now = [0.0]
    loop = Loop(lambda: now[0])
    posts = [Turned() for _ in range(20)]
    for post in posts:
        loop.add(post)
    loop.turn(0)
    posts[7].theirs.send(b"x")
    now[0] = 1.0
    loop.turn(5)
    assert [len(post.turns) for post in posts] == [1] * 7 + [2] + [1] * 12
    loop.close()


def test_a_socket_with_the_number_of_an_earlier_one_is_waited_for():
    now = [0.0]
    loop = Loop(lambda: now[0])
    post = Turned()
    loop.add(post)
    loop.turn(0)
    post.reconnect()
    post.due_s = 1.0
    now[0] = 200.0
    loop.turn(0)
    post.due_s = 100.0
    now[0] = 202.0
    loop.turn(0)
    count = len(post.turns)
    post.theirs.send(b"x")
    loop.turn(5)
    assert len(post.turns) == count + 1
    loop.close()


def test_who_wants_to_write_is_called_when_that_is_possible():
    now = [0.0]
    loop = Loop(lambda: now[0])
    post = Turned()
    post.wants_write = True
    loop.add(post)
    loop.turn(0)
    loop.turn(5)
    assert len(post.turns) == 2
    post.wants_write = False
    loop.turn(5)
    loop.turn(0)
    assert len(post.turns) == 3
    loop.close()


def test_a_signal_ends_a_wait():
    loop = Loop(lambda: 0.0)
    reading, writing = os.pipe()
    loop.wake_by(reading)
    os.write(writing, b"x")
    loop.turn(30)
    loop.close()
    os.close(reading)
    os.close(writing)
