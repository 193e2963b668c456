"""Whatever is held stays: segments, holds and deletions by chance, and an oracle that knows only what overlaps what."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.command.keyring import Key, Ring, Role
from agent.command.order import Letter, Order
from agent.errors import PasuError
from agent.model import Instant, Span, Trust
from agent.storage.keep import erase, hold_rows, holds, orders_delete, orders_rows
from agent.storage.keep.hold import SALVAGED_REACH_MS, Hold
from agent.storage.keep.orders_run import Context
from agent.storage.keep.rollover import Rules
from tests.unit.keep.shelf import MINUTE_MS, NOW, T0, Shelf

CAMERAS = ("cam1", "cam2")
DAY_MS = 86_400_000

spans = st.builds(
    lambda start, length: Span(T0 + start, T0 + start + length),
    st.integers(0, 8 * MINUTE_MS) | st.sampled_from([0, MINUTE_MS, 3 * MINUTE_MS]),
    st.integers(1, 3 * MINUTE_MS) | st.just(MINUTE_MS),
)
cameras = st.sampled_from([("cam1",), ("cam2",), CAMERAS, ("*",)])
holds_at_random = st.lists(
    st.tuples(cameras, spans, st.sampled_from(["access-request", "trial"]), st.booleans()), max_size=3
)
segments = st.lists(
    st.tuples(st.integers(0, 7), st.sampled_from(["cam1", *CAMERAS]), st.booleans()),
    min_size=4,
    max_size=10,
    unique_by=lambda one: (one[0], one[1]),
)


def person(role: Role) -> Key:
    return Key(str(role), b"", role, str(role), 0, 1 << 60, ("*",), ("*",))


def ordered(span: Span, hold: str) -> Order:
    arguments = {
        "camera": "cam1",
        "from_ms": span.start_ms,
        "to_ms": span.end_ms,
        "ground": "erasure-request",
        "request": "2027-17",
    } | ({"hold": hold} if hold else {})
    letter = Letter("k", "c", "b", "f" * 32, 1, 0, 1, "officer", "delete.subject", arguments)
    return Order("f" * 32, letter, (person(Role.OFFICER), person(Role.PRIVACY)), "")


class Site(Shelf):
    """A shelf whose keeper carries out one deletion."""

    at_ms = NOW

    def now(self) -> Instant:
        self.at_ms += 1000
        return Instant(self.at_ms, Trust.SYNCED)

    def context(self) -> Context:
        nobody: Any = None
        rules = Rules({}, 30 * DAY_MS, "dept")
        ring = Ring("c", 1, 0, (person(Role.OFFICER), person(Role.PRIVACY)), frozenset(), ())
        return Context(
            "b", self.state, None, None, rules, self.catalogue, self.vaults, nobody, self.now(), 0.0, ring, None,
            self.disk, lambda _: None,
        )  # fmt: skip

    def place(self, name: str, wanted: tuple[str, ...], span: Span, ground: str, *, linked: bool) -> None:
        hold = Hold(name, wanted, span, ground, "2027-17", NOW + 30 * DAY_MS, 0, "")
        holds.place(self.catalogue, self.vaults, self.state, hold, self.now(), later=not linked)

    def carry_out(self, order: Order) -> tuple[str, dict[str, Any]]:
        """Begin it, let the keeper erase, and ask how it ended: done, or why not."""
        self.catalogue.write(
            lambda db: db.execute(
                "INSERT INTO command (id, order_id, command, jws, signers, state, accepted_ms, trust, erasable_ms, told,"
                " tries) VALUES (?, ?, 'delete.subject', '', '[]', 'RUNNING', 0, 'SYNCED', 0, 0, 0)",
                (order.id, order.id),
            )
        )
        context = self.context()
        try:
            outcome = orders_delete.delete(context, order)
        except PasuError as error:
            return error.code, {}
        if outcome.status == "failed":
            return outcome.code, {}
        for _ in range(3):
            holds.tend(self.catalogue, self.vaults, self.state, self.now())
            erase.finish(self.catalogue, self.vaults, self.state, self.now(), "dept", limit=100)
        again = self.context()
        again.note = context.note
        outcome = orders_delete.delete(again, order)
        assert not orders_rows.unanswered(self.catalogue), "a row that nobody signed is passed over"
        return outcome.status, outcome.detail


@settings(max_examples=100, deadline=None)
@given(segments, holds_at_random, spans, st.integers(-1, 3), st.integers(0, 1))
def test_whatever_is_held_stays_and_it_is_all_or_nothing(stored, held, span, own, released) -> None:
    with tempfile.TemporaryDirectory() as folder:
        site = Site(Path(folder) / "site")
        rows = [site.add(minute, camera=camera, tail=tail, size=1000) for minute, camera, tail in stored]
        for number, (wanted, covers, ground, linked) in enumerate(held):
            site.place(f"h{number}", wanted, covers, ground, linked=linked)
        if released and held:
            holds.release(
                site.catalogue, site.vaults, site.state, "h0", site.now(), reason="x", by="x", later=True
            )
        named = f"h{own}" if 0 <= own < len(held) else ""
        before = {row.path: site.at(row).read_bytes() for row in rows}
        kept = [hold for hold in hold_rows.holds(site.catalogue) if hold.id != named]
        status, detail = site.carry_out(ordered(span, named))

        def reaches(row) -> bool:
            reach = SALVAGED_REACH_MS if row.has_tail else 0
            return row.start_ms < span.end_ms and row.end_ms + reach > span.start_ms

        asked = {row.path for row in rows if row.camera == "cam1" and reaches(row)}
        stays = {
            row.path for row in rows if any(hold.covers(row.camera, row.span, row.path) for hold in kept)
        }
        gone = {
            path for path, state in site.catalogue.read("SELECT path, state FROM segment") if state == "GONE"
        }
        told = [body["path"] for body in site.facts("segment.erased")]
        assert sorted(told) == sorted(gone)
        assert not gone & stays, "what is held is gone"
        for row in rows:
            assert site.at(row).exists() is (row.path not in gone)
            if row.path not in gone:
                assert site.at(row).read_bytes() == before[row.path]
        if status == "done":
            assert gone == asked
            assert (detail["erased"], detail["unshredded"], detail["left"]) == (len(asked), 0, 0)
            assert all(body["shredded"] for body in site.facts("segment.erased"))
        else:
            assert gone == set()
            assert site.facts("deletion.begun") == []
            known = {"DELETION_EMPTY", "DELETION_HELD", "DELETION_HOLD", "HOLD_RELEASED", "CAMERA_UNKNOWN"}
            assert status in known
            assert (status == "DELETION_EMPTY") <= (not asked)
            assert (status == "DELETION_HELD") <= bool(asked & stays)
        if not asked & stays and asked and not named:
            assert status == "done", "nothing forbids it"
        site.catalogue.close()
