"""Exports: what is handed out, what is told of it, and how it ends."""

from __future__ import annotations

import os
import subprocess

import pytest

from agent.centre import verify
from agent.consignment import Where
from agent.model import Span, Trust, utc_day
from agent.storage.keep import outgoing
from agent.storage.keep.outgoing import ExportRefused
from agent.storage.keep.outgoing_order import LIFE_MS, State
from tests.unit.keep.handing import ID, OTHER, Handing, wanted
from tests.unit.keep.kept import DAY_MS, order
from tests.unit.storage.box import T0, Box


@pytest.fixture
def box(tmp_path) -> Handing:
    made = Handing(tmp_path / "box")
    made.record(count=4)
    made.clock.utc_ms = T0 + 10_000
    return made


def test_a_span_becomes_a_bundle_that_the_centre_verifies(box) -> None:
    answer = box.request()
    assert (answer.segments, answer.missing, answer.away) == (3, [], 0)
    assert box.hand() == []
    row = box.export()
    assert (row.state, row.files, row.expires_ms) == (State.BUNDLED, 6, box.clock.utc_ms + LIFE_MS)
    report = verify.verify(box.bundle(), verify.read_key(box.vkey()), None, lambda *_: None)
    assert report.problems == []
    assert len(report.proven) == 3
    done = subprocess.run(
        ["sha256sum", "-c", "SHA256SUMS"], cwd=box.bundle(), capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for name in report.proven:  # nothing is copied: it is the very file
        assert os.path.samefile(box.bundle() / name, box.vault_path / name)
    sent = box.order()
    assert sent is not None
    assert {part.name for part in sent.parts} == {
        str(path.relative_to(box.bundle())) for path in box.bundle().rglob("*") if path.is_file()
    }
    assert sum(part.size for part in sent.parts) == row.bytes
    assert [kind for kind in box.kinds() if kind.startswith("export.")] == [
        "export.requested",
        "export.bundled",
    ]


def test_what_is_told_has_every_field_of_the_law(box) -> None:
    """Standard Guideline art. 42(1): file, recipient, purpose, ground, period, form, person in charge."""
    box.request()
    (body,) = box.told("export.requested")
    fields = ("export", "camera", "start_ms", "end_ms", "recipient", "purpose", "ground", "grounds", "due")
    assert all(body[name] for name in (*fields, "authority", "form", "person", "over"))
    assert "https" not in str(box.facts())


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"purpose": ""}, "EXPORT_TEXT"),
        ({"recipient": " "}, "EXPORT_TEXT"),
        ({"authority": ""}, "EXPORT_TEXT"),
        ({"person": ""}, "EXPORT_TEXT"),
        ({"purpose": "a\nb"}, "EXPORT_TEXT"),
        ({"emergency": True}, "EXPORT_TEXT"),
        ({"ground": ""}, "EXPORT_GROUND"),
        ({"ground": "curiosity"}, "EXPORT_GROUND"),
        ({"due": ""}, "EXPORT_DUE"),
        ({"due": utc_day(T0 - DAY_MS)}, "EXPORT_DUE"),
        ({"to": "http://10.77.0.1"}, "EXPORT_TO"),
        ({"to": "https://u:p@10.77.0.1"}, "EXPORT_TO"),
        ({"to": "https://10.77.0.1/../x"}, "EXPORT_TO"),
        ({"span": Span(T0, T0)}, "EXPORT_SPAN"),
        ({"span": Span(T0, T0 + DAY_MS)}, "EXPORT_SPAN"),
        ({"span": Span(T0 - DAY_MS, T0)}, "EXPORT_EMPTY"),
        ({"camera": "cam9"}, "EXPORT_EMPTY"),
        ({"export": "../../etc"}, "EXPORT_ID"),
    ],
)
def test_an_order_that_lacks_anything_is_refused_and_leaves_nothing(box, change, code) -> None:
    """Art. 28(1), 31(3): no ground, no recipient, no due date: nothing leaves."""
    before = box.kinds()
    with pytest.raises(ExportRefused) as refused:
        box.request(wanted(**change))
    assert refused.value.code == code
    assert box.kinds() == before
    box.hand()
    assert box.outgoing() == []


def test_every_ground_of_the_table_is_taken(box) -> None:
    """Art. 28(1): every ground, and one more is refused above."""
    from agent.storage.keep.hold import GROUNDS

    for number, ground in enumerate(GROUNDS):
        box.request(wanted(f"{number:032x}", ground=ground))
    assert len(box.told("export.requested")) == len(GROUNDS)


def test_the_answer_says_what_of_the_span_is_not_stored(box) -> None:
    answer = box.request(wanted(span=Span(T0 - 5000, T0 + 9000)))
    assert answer.missing == [Span(T0 - 5000, T0), Span(T0 + 4000, T0 + 9000)]
    box.hand()
    report = verify.verify(box.bundle(), verify.read_key(box.vkey()), None, lambda *_: None)
    assert {one.what for one in report.problems} == {verify.UNEXPLAINED}


def test_given_again_it_is_one_export(box) -> None:
    box.request()
    box.hand()
    facts = box.kinds()
    assert box.request().segments == 3
    box.hand()
    assert box.kinds() == facts
    with pytest.raises(ExportRefused, match="EXPORT_EXISTS"):
        box.request(wanted(recipient="somebody else"))


def test_a_salvaged_segment_goes_with_its_tail(box) -> None:
    box.record_salvaged(at_ms=T0 + 20_000)
    box.clock.utc_ms = T0 + 60_000
    box.request(wanted(span=Span(T0 + 20_000, T0 + 30_000)))
    box.hand()
    names = [name for name in box.outgoing() if "/segments/" in name]
    assert [name.rpartition(".")[2] for name in names] == ["age", "tail"]
    report = verify.verify(box.bundle(), verify.read_key(box.vkey()), None, lambda *_: None)
    assert len(report.tails) == 1
    assert {one.what for one in report.problems} <= {verify.UNEXPLAINED}


def received(box: Handing) -> None:
    box.request()
    box.hand()
    gone = box.export().bytes
    box.say(Where.RECEIVED, files=6, bytes=gone, gone=gone)
    box.hand()
    assert box.received() is State.RECEIVED
    box.hand()


def test_what_was_received_is_cleared_away_and_its_segments_stay(box) -> None:
    names = box.names()
    received(box)
    row = box.export()
    assert (row.state, row.cleared, row.recalled) == (State.RECEIVED, True, True)
    assert os.listdir(box.vault_path / "outgoing") == []
    assert box.order() is None
    assert box.names() == names
    box.check()
    kinds = [kind for kind in box.kinds() if kind.startswith("export.")]
    assert kinds == ["export.requested", "export.bundled", "export.sent", "export.received"]
    box.hand()
    assert [kind for kind in box.kinds() if kind.startswith("export.")] == kinds


def test_retention_erases_what_an_export_links_and_its_header_goes_with_the_link(box) -> None:
    """Act 21(2): nothing that was erased can be opened once the export is over; nobody is alarmed meanwhile."""
    box.request()
    box.hand()
    inside = [f"outgoing/{ID}/{name}" for name in box.names()[:3]]
    assert box.condemn([1, 2, 3]) == [1, 2, 3]
    report = box.finish()
    assert (report.erased, report.outgoing, report.unshredded, report.erased_bytes) == (3, 3, 0, 0)
    assert [(body["shredded"], body["outgoing"]) for body in box.erased()] == [(False, ID)] * 3
    assert all(box.opens(name) for name in inside)
    kept = box.root / "kept"
    kept.mkdir()

    def step(name: str) -> None:
        if name == "D3":
            for number, each in enumerate(inside):
                (kept / str(number)).write_bytes((box.vault_path / each).read_bytes())

    gone = box.export().bytes
    box.say(Where.RECEIVED, gone=gone)
    box.hand(step=step)
    assert box.told("segment.shredded") == []
    box.received()
    box.hand(step=step)
    assert [path.read_bytes()[:22] for path in sorted(kept.iterdir())] == [bytes(22)] * 3
    assert box.outgoing() == []
    shredded = box.told("segment.shredded")
    assert [body["path"] for body in shredded] == [body["path"] for body in box.erased()]
    assert all(body["export"] == ID and body["responsible"] and body["sha256"] for body in shredded)


def test_the_last_of_two_exports_shreds(box) -> None:
    box.request()
    box.request(wanted(OTHER))
    box.hand()
    box.condemn([1, 2, 3])
    box.finish()
    box.cancel()
    box.hand()
    assert box.told("segment.shredded") == []
    assert all(box.opens(f"outgoing/{OTHER}/{body['path']}") for body in box.erased())
    box.cancel(OTHER)
    box.hand()
    assert len(box.told("segment.shredded")) == 3
    assert box.outgoing() == []


def test_a_held_segment_loses_nothing_by_an_export(box) -> None:
    """I9: also where its own name vanished, and the export's link is the last one."""
    box.request()
    box.hand()
    box.place(order(span=Span(T0, T0 + 1000)))
    first, second = box.names()[:2]
    (box.vault_path / first).unlink()
    (box.vault_path / second).unlink()
    (box.vault_path / "holds/h1" / first.removeprefix("segments/")).unlink()
    box.cancel()
    box.hand()
    assert box.opens(first)  # held
    assert box.opens(second)  # not held, but nobody erased it
    assert box.outgoing() == []
    box.reconcile()
    box.check()


def test_a_name_that_is_anothers_stays_and_is_told(box) -> None:
    box.request()
    box.hand()
    first = box.names()[0]
    (box.vault_path / first).unlink()
    (box.vault_path / first).write_bytes(b"somebody's own")
    box.cancel()
    assert [each.code for each in box.hand()] == ["export.stuck"]
    assert box.opens(f"outgoing/{ID}/{first}")
    assert (box.vault_path / first).read_bytes() == b"somebody's own"


def test_foreign_files_among_the_links_are_left_alone(box) -> None:
    """B14."""
    box.request()
    box.hand()
    mine = box.bundle() / "notes.txt"
    mine.write_text("mine")
    strange = box.vault_path / "outgoing" / "family photos"
    strange.mkdir()
    (strange / "a.jpg").write_bytes(b"x")
    inside = next((box.bundle() / "segments").rglob("2*")) / "readme"
    inside.write_text("mine too")
    box.cancel()
    assert {each.code for each in box.hand()} == {"export.stuck"}
    assert mine.read_text() == "mine"
    assert inside.read_text() == "mine too"
    assert (strange / "a.jpg").exists()
    box.check()


def test_an_export_lapses_after_three_days_and_by_trusted_time_only(box) -> None:
    box.request()
    box.hand()
    box.clock.utc_ms += LIFE_MS + 1
    box.hand(trust=Trust.UNTRUSTED)
    assert box.export().state is State.BUNDLED
    box.hand()
    assert box.export().state is State.EXPIRED
    assert box.outgoing() == []
    order_now = box.order()
    assert order_now is not None
    assert order_now.recalled
    box.say(Where.RECALLED, gone=7)
    box.hand()
    assert box.order() is None
    (body,) = box.told("export.recalled")
    assert (body["gone_bytes"], body["confirmed"]) == (7, True)
    box.check()


@pytest.mark.parametrize("where", [Where.RECEIVED, Where.DAMAGED, Where.REFUSED, Where.RECALLED])
def test_e7_what_nobody_signed_for_stays_until_its_time(box, where) -> None:
    """E7: a rogue broker forges receipts, a rogue uplink words. Neither has a file removed, nor a lie signed."""
    box.request()
    box.hand()
    box.condemn([1, 2, 3])
    assert box.finish().outgoing == 3
    files = box.outgoing()
    box.say(where, gone=7, code="NOT.ours" if where is Where.REFUSED else "")
    for _ in range(3):
        box.hand()
    assert box.outgoing() == files
    assert box.order() is not None
    assert not {"export.received", "export.expired", "segment.shredded"} & {*box.kinds()}
    sent = where in (Where.RECEIVED, Where.DAMAGED)
    assert box.export().state is (State.SENT if sent else State.BUNDLED)
    box.clock.utc_ms += LIFE_MS + 1
    box.hand()
    row, order_now = box.export(), box.order()
    assert box.outgoing() == []
    assert len(box.told("segment.shredded")) == 3
    if sent:  # what may be evidence at the centre is not taken back
        assert (row.state, row.gone_bytes, row.is_out, order_now) == (
            State.UNCONFIRMED,
            row.bytes,
            True,
            None,
        )
        (body,) = box.told("export.unconfirmed")
        assert body["said"] == str(where)
        assert box.received(good=False) is State.RECEIVED  # late, and still worth to be written down
        (body,) = box.told("export.received")
        assert (body["good"], body["by"]) == (False, "centre")
    else:
        assert row.state is State.EXPIRED
        assert order_now is not None
        assert order_now.recalled
        (body,) = box.told("export.expired")
        assert body["code"] == ("NOT.ours" if where is Where.REFUSED else str(where))
        assert box.received() is State.EXPIRED
    assert box.hand() == []


def test_the_centres_word_counts_also_where_the_uplink_heard_nothing(box) -> None:
    box.request()
    box.hand()
    assert box.received() is State.RECEIVED
    assert box.received() is State.RECEIVED
    box.hand()
    assert (box.export().gone_bytes, box.order(), box.outgoing()) == (box.export().bytes, None, [])
    kinds = [kind for kind in box.kinds() if kind.startswith("export.")]
    assert kinds == ["export.requested", "export.bundled", "export.sent", "export.received"]


def test_e7_a_copy_that_left_whole_is_not_gone_because_the_wire_says_so(box) -> None:
    """E7: receipts that came were kept back, and a recall is answered by who did it."""
    box.request()
    box.hand()
    box.say(Where.SENDING, gone=box.export().bytes)
    box.cancel()
    box.hand()
    box.say(Where.RECALLED, gone=box.export().bytes)
    box.hand()
    assert box.export().is_out


@pytest.mark.parametrize("off_days", [3650, -20_000])
def test_c3_an_export_of_a_clock_that_was_ahead_lapses_after_three_days_of_the_right_one(
    box, off_days: int
) -> None:
    """Else retention would erase its segments, and the bundle keep them readable until the clock's own time."""
    true_ms = box.clock.utc_ms
    box.clock.utc_ms += off_days * DAY_MS
    with box.catalogue() as catalogue:
        outgoing.request(catalogue, box.vaults, wanted(due="2099-01-01"), box.at(Trust.UNTRUSTED))
    box.hand(trust=Trust.UNTRUSTED)
    assert box.export().state is State.BUNDLED
    box.clock.utc_ms = true_ms
    box.hand()
    assert box.export().expires_ms == true_ms + 3 * DAY_MS
    box.condemn()
    assert box.finish().outgoing == 3
    box.clock.utc_ms += 3 * DAY_MS + 1
    box.hand()
    assert box.export().state is State.EXPIRED
    assert len(box.told("segment.shredded")) == 3


def test_i8_cancelled_its_order_is_taken_back_at_once_and_the_answer_says_what_had_left(box) -> None:
    """I8: art. 28(2): the order is dead before the answer is given; what left is told, and told again at the end."""
    box.request()
    box.hand()
    box.say(Where.SENDING, gone=12_345)
    answer = box.cancel()
    assert (answer.state, answer.gone_bytes) == (State.CANCELLED, 12_345)
    order_now = box.order()
    assert order_now is not None
    assert order_now.recalled
    assert order_now.parts == ()
    (body,) = box.told("export.cancelled")
    assert (body["by"], body["gone_bytes"]) == ("officer", 12_345)
    box.hand()
    assert box.outgoing() == []
    assert box.cancel().state is State.CANCELLED
    assert len(box.told("export.cancelled")) == 1
    box.say(Where.RECALLED, gone=20_000)
    box.hand()
    assert box.export().gone_bytes == 20_000
    assert not box.export().is_out, "the centre never had it whole, and has thrown away what it had"


def test_i8_what_the_centre_has_already_is_taken_back_too(box) -> None:
    """I8."""
    received(box)
    gone = box.export().gone_bytes
    assert box.cancel().gone_bytes == gone > 0
    order_now = box.order()
    assert order_now is not None
    assert order_now.recalled
    box.say(Where.RECALLED, gone=gone)
    box.hand()
    assert box.order() is None
    assert box.export().is_out, "a copy may have gone on from there: somebody must say that it is destroyed"


def test_a_copy_that_nobody_said_to_be_destroyed_is_told_after_its_day(box) -> None:
    """Art. 31(3)."""
    received(box)
    box.clock.utc_ms = T0 + 40 * DAY_MS
    assert box.hand() == []
    box.clock.utc_ms += DAY_MS
    assert [(each.code, each.subject) for each in box.hand()] == [("export.overdue", ID)]
    assert box.hand(trust=Trust.UNTRUSTED) == []
    assert box.destroyed()
    assert not box.destroyed()
    assert box.hand() == []
    assert len(box.told("export.destroyed")) == 1


def test_nothing_is_cleared_before_holds_and_rows_are_known(box) -> None:
    box.request()
    box.hand()
    box.cancel()
    box.hand(settled=False)
    assert len([name for name in box.outgoing() if "/segments/" in name]) == 3


def test_a_hold_that_the_catalogue_does_not_know_stops_clearing(box) -> None:
    box.request()
    box.hand()
    box.cancel()
    (box.vault_path / "holds" / "strange").mkdir()
    assert [each.code for each in box.hand()] == ["export.stuck"]
    assert len([name for name in box.outgoing() if "/segments/" in name]) == 3


def lose_rows(box: Box) -> None:
    with box.catalogue() as catalogue:
        catalogue.write(
            lambda db: [db.execute(f"DELETE FROM {table}") for table in ("export_segment", "export")]
        )


def test_a_bundle_without_a_row_is_cleared_and_nothing_of_the_recordings_is_lost(box) -> None:
    """B11: the catalogue was lost, and its segments have their rows again."""
    box.request()
    box.hand()
    lose_rows(box)
    first = box.names()[0]
    (box.vault_path / first).unlink()  # the link is the last name of it
    box.hand(trust=Trust.UNTRUSTED)
    assert box.opens(f"outgoing/{ID}/{first}")
    box.hand()
    assert box.outgoing() == []
    box.check()
    order_now = box.order()
    assert order_now is not None
    assert order_now.recalled


def test_what_a_bundle_without_a_row_links_is_erased_as_what_any_export_links(box) -> None:
    """B11: nobody is alarmed, and the last link takes the header with it."""
    box.request()
    box.hand()
    lose_rows(box)
    box.condemn([1, 2, 3])
    report = box.finish()
    assert (report.outgoing, report.unshredded) == (3, 0)
    assert [body["outgoing"] for body in box.erased()] == [ID] * 3
    box.hand()
    assert box.outgoing() == []
    assert len(box.told("segment.shredded")) == 3


def test_a_bundle_without_a_row_that_is_over_age_is_shredded_unless_it_is_held(box) -> None:
    box.request()
    box.hand()
    box.place(order(span=Span(T0, T0 + 1000)))
    paths = box.names()[:3]
    box.condemn([2, 3])
    box.finish()
    lose_rows(box)
    with box.catalogue() as catalogue:
        catalogue.write(lambda db: db.execute("DELETE FROM hold_segment"))
        catalogue.write(lambda db: db.execute("DELETE FROM segment WHERE id < 4"))
    (box.vault_path / paths[0]).unlink()
    (box.vault_path / "holds/h1" / paths[0].removeprefix("segments/")).unlink()
    box.clock.utc_ms += 31 * DAY_MS
    box.hand()
    assert box.outgoing() == []
    assert [name for name in box.names() if name in paths] == [paths[0]]
    assert box.opens(paths[0])
    assert [body["path"] for body in box.told("segment.shredded")] == paths[1:]


def test_an_export_of_which_nothing_is_left_lapses(box) -> None:
    box.request()
    box.condemn()
    box.finish()
    box.hand()
    assert (box.export().state, box.export().code) == (State.EXPIRED, "EXPORT_EMPTY")
    assert box.outgoing() == []


def test_what_is_erased_between_order_and_link_is_not_claimed(box) -> None:
    box.request()
    box.condemn([2])
    box.finish()
    box.hand()
    report = verify.verify(box.bundle(), verify.read_key(box.vkey()), None, lambda *_: None)
    assert len(report.proven) == 2
    assert [told.kind for told in report.told] == ["segment.erased"]
    assert report.problems == []


@pytest.mark.parametrize("kind", ["outgoing", "carried"])
def test_a_directory_where_the_uplink_and_the_keeper_meet_stops_nothing(box, kind) -> None:
    (box.state / "exchange" / kind / f"{OTHER}.json").mkdir(parents=True)
    (box.state / "exchange" / "outgoing").mkdir(exist_ok=True)
    if kind == "carried":
        (box.state / "exchange" / "outgoing" / f"{OTHER}.json").touch()
    box.request()
    assert box.hand() == []
    assert box.export().state is State.BUNDLED


@pytest.mark.parametrize("where", [Where.SENT, Where.RECEIVED, Where.DAMAGED])
def test_what_the_centre_is_said_to_have_has_left_however_little_the_uplink_counted(box, where):
    """Art. 31(3): a false word hides no copy that must be destroyed."""
    box.request()
    box.hand()
    box.say(where, gone=0)
    box.hand()
    row = box.export()
    assert row.gone_bytes == row.bytes > 0
    assert row.is_out
    (body,) = box.told("export.sent")
    assert body["gone_bytes"] == row.bytes
