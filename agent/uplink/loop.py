"""Waits for the descriptors of posts, and calls each when it is ready or due. A shell."""

from __future__ import annotations

import heapq
import selectors
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

TURN_MOST_S = 1.0


class Turning(Protocol):
    """What the loop turns: a post, or what stands around one."""

    @property
    def wants_write(self) -> bool:
        """Whether to wait until the descriptor takes bytes, too."""
        ...

    @property
    def connection(self) -> int:
        """Counts connections: another number is another socket, whatever its descriptor."""
        ...

    def fileno(self) -> int:
        """Return the descriptor to wait for, -1 while there is none."""
        ...

    def turn(self, now_s: float) -> float:
        """Do what can be done; return in how many seconds to be called again."""
        ...


class Loop:
    """Any number of posts, in one thread."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` returns seconds that never step."""
        self._clock = clock
        self._selector = selectors.DefaultSelector()
        self._posts: list[Turning] = []
        # Descriptor, events, and which connection it is, as the selector has them: a number that was closed comes again
        # with another socket, of which the selector knows nothing.
        self._known: list[tuple[int, int, int]] = []
        self._due: list[tuple[float, int]] = []
        self._due_s: list[float] = []

    def add(self, post: Turning) -> None:
        """Turn one more from now on."""
        self._posts.append(post)
        self._known.append((-1, 0, 0))
        self._due_s.append(0.0)
        heapq.heappush(self._due, (0.0, len(self._posts) - 1))

    def wake_by(self, descriptor: int) -> None:
        """End a wait when this becomes readable: a signal came."""
        self._selector.register(descriptor, selectors.EVENT_READ, -1)

    def turn(self, most_s: float = TURN_MOST_S) -> None:
        """Wait until something is ready or due, and call what is."""
        wait_s = min(most_s, max(0.0, self._due[0][0] - self._clock())) if self._due else most_s
        ready = {key.data for key, _ in self._selector.select(wait_s)}
        now_s = self._clock()
        while self._due and self._due[0][0] <= now_s:
            at_s, place = heapq.heappop(self._due)
            if at_s == self._due_s[place]:  # else it was called since, and is due at another time
                ready.add(place)
        ready.discard(-1)
        for place in ready:
            post = self._posts[place]
            due_s = now_s + post.turn(now_s)
            self._due_s[place] = due_s
            heapq.heappush(self._due, (due_s, place))
            self._watch(place, post)

    def close(self) -> None:
        """Let go of the selector."""
        self._selector.close()

    def _watch(self, place: int, post: Turning) -> None:
        """Have the selector wait for what the post waits for."""
        descriptor = post.fileno()
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if post.wants_write else 0)
        wanted = (descriptor, events, post.connection)
        known, self._known[place] = self._known[place], wanted
        if wanted == known:
            return
        if known[0] >= 0:
            self._selector.unregister(known[0])
        if descriptor >= 0:
            self._selector.register(descriptor, events, place)
