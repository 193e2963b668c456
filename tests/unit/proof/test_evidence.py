"""Bundles: what the box hands out, and what the centre makes of it without the box."""

from __future__ import annotations

import base64
import json
import os
from dataclasses import replace

import pytest

from agent.centre import verify
from agent.errors import ConfigError, IntegrityFault, StorageFault
from agent.model import Fact, Span
from agent.storage.catalogue import Catalogue
from agent.storage.files import Disk
from agent.storage.proof import bundle, checkpoints, export, tree
from tests.unit.proof.evidence import MINUTE, SPAN, Evidence, taken
from tests.unit.proof.ledgers import T0, Site
from tests.unit.storage.box import FailingDisk


@pytest.fixture
def box(tmp_path):
    made = Evidence(tmp_path)
    yield made
    made.catalogue.close()


def check(box, witness=None, out=None, key=None):
    steps = []
    report = verify.verify(
        out or box.out, key or box.key.verifier, witness, lambda done, total: steps.append((done, total))
    )
    assert all(done <= total for done, total in steps)
    return report


def problems(report):
    return [(one.what, one.where) for one in report.problems]


def segment(box, minute):
    return box.out / "segments" / "cam1" / "2027-01-15" / f"20270115T08{minute:02d}00.000Z.mp4.age"


def rewrite(box, change):
    """Change proofs.json as somebody would who does not have the key."""
    whole = json.loads((box.out / "proofs.json").read_bytes())
    change(whole)
    (box.out / "proofs.json").write_text(json.dumps(whole))


def test_a_whole_bundle(box):
    done = box.export()
    assert (done.files, done.damaged, done.unproven) == (8, [], [])
    report = check(box)
    assert problems(report) == []
    assert report.good
    assert len(report.proven) == 8
    assert [(one.kind, one.cause) for one in report.told] == [
        ("gap", "camera_silent"),
        ("segment.erased", "EXPIRED"),
    ]
    assert report.tails == ["segments/cam1/2027-01-15/20270115T080500.000Z.salvaged.mp4.age.tail"]
    assert (report.box, report.camera, report.span) == ("gn-0007", "cam1", SPAN)
    assert report.size == done.checkpoint.size
    for path in box.out.rglob("*.age"):
        assert path.read_bytes() == box.vaults[0].at(str(path.relative_to(box.out))).read_bytes()


def test_the_ledger_says_who_took_what_before_anything_is_copied(box):
    def stop(number):
        if number == "X2":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        box.export(step=stop)
    assert list(box.out.iterdir()) == []
    ((_, body),) = box.facts("export.bundled")
    told = json.loads(body)
    assert (told["by"], told["camera"], told["segments"]) == ("kim", "cam1", 8)
    assert (told["start_ms"], told["end_ms"]) == (SPAN.start_ms, SPAN.end_ms)
    box.export(out=box.out)
    assert check(box).good


def test_only_what_was_asked_for_leaves(box):
    box.export(Span(T0 + MINUTE, T0 + 3 * MINUTE))
    assert sorted(path.name for path in box.out.rglob("*.age")) == [
        "20270115T080100.000Z.mp4.age",
        "20270115T080200.000Z.mp4.age",
    ]
    assert b"cam2" not in (box.out / "proofs.json").read_bytes()
    assert check(box).good


def test_a_file_that_was_taken_out_is_named(box):
    box.export()
    segment(box, 2).unlink()
    assert problems(check(box)) == [("file_missing", str(segment(box, 2).relative_to(box.out)))]


@pytest.mark.parametrize("how", ["flip", "cut", "longer", "link", "directory", "fifo"])
def test_a_file_that_was_changed_is_named(box, how, tmp_path):
    box.export()
    path = segment(box, 2)
    content = path.read_bytes()
    path.unlink()
    if how == "flip":
        path.write_bytes(content[:1000] + bytes([content[1000] ^ 1]) + content[1001:])
    elif how == "cut":
        path.write_bytes(content[:-1])
    elif how == "longer":
        path.write_bytes(content + b"x")
    elif how == "link":
        (tmp_path / "elsewhere").write_bytes(content)
        path.symlink_to(tmp_path / "elsewhere")
    elif how == "directory":
        path.mkdir()
    else:
        os.mkfifo(path)
    ((what, where),) = problems(check(box))
    assert what in ("file_changed", "file_missing")
    assert where == str(path.relative_to(box.out))


def test_a_folder_that_is_a_link_is_not_followed(box, tmp_path):
    box.export()
    (box.out / "segments").rename(tmp_path / "elsewhere")
    (box.out / "segments").symlink_to(tmp_path / "elsewhere")
    assert {what for what, _ in problems(check(box))} == {"file_missing"}


def test_an_entry_that_was_taken_out_with_its_file_shows_in_the_box_s_own_claim(box):
    box.export()
    segment(box, 2).unlink()
    rewrite(box, lambda whole: whole["entries"].pop(next(
        number for number, item in enumerate(whole["entries"]) if "0802" in item.get("file", "")
    )))  # fmt: skip
    assert [what for what, _ in problems(check(box))] == ["claim", "unexplained"]


def test_a_gap_that_was_taken_out_leaves_a_hole_without_reason(box):
    box.export()
    rewrite(box, lambda whole: whole.update(
        entries=[item for item in whole["entries"] if item["entry"]["kind"] != "gap"]
    ))  # fmt: skip
    report = check(box)
    assert [(one.what, one.span) for one in report.problems] == [
        ("unexplained", Span(T0 + 3 * MINUTE, T0 + 4 * MINUTE))
    ]


def test_a_longer_span_than_was_handed_out_is_not_believed(box):
    box.export(Span(T0, T0 + 2 * MINUTE))
    rewrite(box, lambda whole: whole.update(span=[T0, T0 + MINUTE]))
    assert [what for what, _ in problems(check(box))] == ["claim"]


@pytest.mark.parametrize(
    "change",
    [
        lambda item: item["entry"].update(at_ms=item["entry"]["at_ms"] + 1),
        lambda item: item["entry"]["body"].update(sha256="00" * 32),
        lambda item: item["entry"]["body"].update(end_ms=0.5),
        lambda item: item["entry"].update(seq=item["entry"]["seq"] + 1),
        lambda item: item["entry"].update(seq=0),
        lambda item: item["entry"].update(extra=1),
        lambda item: item["entry"].pop("trust"),
        lambda item: item.update(proof=item["proof"][1:]),
        lambda item: item.update(proof=item["proof"][::-1]),
    ],
)
def test_no_entry_is_believed_that_the_signed_tree_does_not_hold(box, change):
    box.export()
    rewrite(
        box, lambda whole: change(next(item for item in whole["entries"] if "0802" in item.get("file", "")))
    )
    found = [what for what, _ in problems(check(box))]
    assert found[0] == "entry"
    assert "claim" in found


@pytest.mark.parametrize("file", ["../../etc/passwd", "proofs.json", "segments/cam1/../x", ""])
def test_a_name_that_leads_elsewhere_is_not_opened(box, file):
    box.export()
    rewrite(box, lambda whole: next(
        item for item in whole["entries"] if "0802" in item.get("file", "")
    ).update(file=file))  # fmt: skip
    report = check(box)
    assert "entry" in [what for what, _ in problems(report)]
    assert file not in report.proven


def test_a_name_used_twice_counts_once(box):
    box.export()

    def twice(whole):
        files = [item for item in whole["entries"] if "file" in item]
        files[1]["file"] = files[0]["file"]

    rewrite(box, twice)
    assert "entry" in [what for what, _ in problems(check(box))]


def test_a_strange_file_is_named(box):
    box.export()
    (box.out / "segments" / "note.txt").write_text("look here")
    (box.out / "more").write_text("x")
    assert problems(check(box)) == [("file_strange", "more"), ("file_strange", "segments/note.txt")]


def test_a_bundle_of_another_key_or_box_is_worth_nothing(box, tmp_path):
    box.export()
    stranger = Site(tmp_path / "other")
    stranger.catalogue.close()
    report = check(box, key=stranger.key.verifier)
    assert report.problems[0].what == "signature"
    assert report.proven == []
    rewrite(box, lambda whole: whole.update(box="gn-0008"))
    assert ("box", "CHECKPOINT") in problems(check(box))


@pytest.mark.parametrize("content", [None, b"", b"x" * 2_000_000])
def test_a_checkpoint_that_is_none(box, content):
    box.export()
    (box.out / "CHECKPOINT").unlink()
    if content is not None:
        (box.out / "CHECKPOINT").write_bytes(content)
    assert [one.what for one in check(box).problems] == ["file_missing" if content is None else "signature"]


@pytest.mark.parametrize("how", ["missing", "nonsense", "directory"])
def test_what_is_no_bundle_is_said_at_once(tmp_path, box, how):
    place = tmp_path / "empty"
    place.mkdir()
    if how == "nonsense":
        (place / "proofs.json").write_text("{}")
    elif how == "directory":
        (place / "proofs.json").mkdir()
    with pytest.raises(IntegrityFault, match="BUNDLE_INVALID"):
        check(box, out=place)


def test_a_key_that_is_none(box):
    with pytest.raises(ConfigError, match="KEY_UNREADABLE"):
        verify.read_key("age1...")
    assert verify.read_key(str(box.key.verifier)) == box.key.verifier


# Against what the centre kept.


def test_h6_a_bundle_goes_on_from_what_the_centre_has_seen(box):
    old = box.checkpoint()
    box.add(500)
    box.export(since=old)
    report = check(box, witness=old.text.encode())
    assert report.good
    assert report.continues == old.size


def test_a_bundle_that_ends_where_the_centre_is(box):
    done = box.export()
    assert check(box, witness=done.checkpoint.text.encode()).continues == done.checkpoint.size


def test_without_a_proof_of_continuation_it_is_not_believed(box):
    old = box.checkpoint()
    box.add(10)
    newer = box.checkpoint()
    box.export(since=newer)
    assert [what for what, _ in problems(check(box, witness=old.text.encode()))] == ["witness"]


def test_h6_a_ledger_that_was_cut_and_signed_again_is_found_by_the_witness(box):
    """Rollback: the box's own traces are gone too, but not what the centre kept."""
    yesterday = box.copy()
    box.add(500)
    seen = box.checkpoint()
    box.put_back(yesterday)
    forget(box)
    box.export()
    ((what, where),) = problems(check(box, witness=seen.text.encode()))
    assert (what, where) == ("witness", str(seen.size))


def test_h6_another_history_of_the_same_length_is_found_by_the_witness(box):
    common = box.copy()
    box.add(1)
    seen = box.checkpoint()
    box.put_back(common)
    forget(box)
    done = box.export()  # export.bundled and key.created: as many entries
    assert done.checkpoint.size == seen.size
    report = check(box, witness=seen.text.encode())
    assert "same length" in report.problems[0].detail


def test_h6_a_fork_with_a_proof_of_its_own_is_found_by_the_witness(box):
    common = box.copy()
    box.add(300)
    seen = box.checkpoint()
    box.put_back(common)
    forget(box)
    box.add(400)
    done = box.export()
    tree_of = tree.Tree(box.catalogue)
    encode = lambda raw: base64.b64encode(raw).decode()  # noqa: E731
    since = {
        "size": seen.size,
        "root": encode(tree_of.root(seen.size)),
        "proof": [encode(one) for one in tree_of.consistency(seen.size, done.checkpoint.size)],
    }
    rewrite(box, lambda whole: whole.update(since=since))
    assert check(box).good
    report = check(box, witness=seen.text.encode())
    assert [one.what for one in report.problems] == ["witness"]
    assert "not those" in report.problems[0].detail


def forget(box):
    """Remove what the box itself kept of later heads."""
    for place in (box.state, *(vault.root for vault in box.vaults)):
        (place / "CHECKPOINT").unlink(missing_ok=True)


def test_a_witness_of_another_ledger_or_key_says_no(box, tmp_path):
    box.export()
    stranger = Site(tmp_path / "other")
    stranger.fill(5)
    theirs = stranger.checkpoint()
    stranger.catalogue.close()
    assert [what for what, _ in problems(check(box, witness=theirs.text.encode()))] == ["witness"]
    assert [what for what, _ in problems(check(box, witness=b"x"))] == ["witness"]
    old = checkpoints.newest(box.catalogue)
    box.catalogue.set_meta("ledger", "0" * 16)
    box.add(1)
    box.export(out=box.out.with_name("second"))
    report = check(box, witness=old.text.encode(), out=box.out.with_name("second"))
    assert "another ledger" in report.problems[0].detail


def test_the_box_refuses_a_proof_from_what_its_ledger_contradicts(box):
    yesterday = box.copy()
    box.add(100)
    seen = box.checkpoint()
    box.put_back(yesterday)
    with pytest.raises(IntegrityFault, match="WITNESS_CONTRADICTED"):
        box.export(since=seen)
    assert box.facts("export.bundled") == []


# What the box itself cannot prove, or no longer has.


def test_an_entry_that_was_edited_is_named_and_proves_nothing(box):
    """H6. With it go the other entries of its block: their proofs need its hash, and there is none but the new one."""
    box.fill(600)
    box.checkpoint()
    late = box.store("cam1", 10)
    box.fill(900)
    box.checkpoint()
    box.tamper("UPDATE ledger SET at_ms = at_ms + 1 WHERE kind = 'gap'")
    done = box.export(Span(SPAN.start_ms, SPAN.end_ms + MINUTE))
    assert {code for _, code in done.damaged} == {"LEDGER_EDITED"}
    report = check(box)
    assert report.proven == [late.path]
    assert {what for what, _ in problems(report)} == {"claim", "unproven", "unexplained"}


def test_a_file_that_the_disk_lost_or_changed_is_named(box):
    rows = list(box.catalogue.segments("cam1"))
    box.vaults[0].at(rows[0].path).unlink()
    box.vaults[0].at(rows[1].path).write_bytes(b"other")
    done = box.export()
    assert done.damaged == [(rows[0].path, "DISK_MISSING"), (rows[1].path, "CONTENT_CHANGED")]
    assert problems(check(box)) == [("file_missing", rows[0].path), ("file_changed", rows[1].path)]


def test_a_vault_that_is_away_is_named(box):
    box.vaults = []
    done = box.export()
    assert {code for _, code in done.damaged} == {"VAULT_MISSING"}
    assert len(done.damaged) == 8


def test_a_file_of_which_this_ledger_has_no_entry_is_handed_out_and_named(box):
    box.tamper("UPDATE segment SET sha256 = '' WHERE camera = 'cam1' AND start_ms = ?", (T0,))
    done = box.export()
    name = str(segment(box, 0).relative_to(box.out))
    assert done.unproven == [name]
    assert problems(check(box)) == [("unproven", name), ("unexplained", f"{T0}-{T0 + MINUTE}")]


def test_times_that_were_corrected_are_believed_when_an_entry_says_so(box):
    shift = 3_600_000
    query = "UPDATE segment SET start_ms = start_ms + ?, end_ms = end_ms + ? WHERE camera = 'cam1' AND start_ms < ?"
    box.tamper(query, (shift, shift, T0 + 3 * MINUTE))
    span = Span(T0 + shift, T0 + shift + 3 * MINUTE)
    box.export(span)
    assert [what for what, _ in problems(check(box))] == ["relabelled"] * 3 + ["unexplained"]
    box.catalogue.add_fact(Fact("time.relabelled", box.now, {"shift_ms": shift, "segments": 3}))
    box.export(span, out=box.out.with_name("second"))
    assert check(box, out=box.out.with_name("second")).good


def test_one_name_in_two_vaults(box, tmp_path):
    from agent.storage.vault import Vault

    second = Vault.create(tmp_path / "second-disk", "uuid-9", created_ms=T0)
    box.catalogue.add_vault(second.uuid, str(second.root), T0)
    box.vaults.append(second)
    row = next(iter(box.catalogue.segments("cam1")))
    second.at(row.path).parent.mkdir(parents=True)
    second.at(row.path).write_bytes(b"another")
    import hashlib

    other = replace(row, vault="uuid-9", sha256=hashlib.sha256(b"another").hexdigest(), sealed_bytes=7)
    box.catalogue.commit_segment(other, box.now)
    done = box.export()
    assert done.files == 9
    assert (box.out / row.path.replace("segments/", "segments-1/", 1)).read_bytes() == b"another"
    assert check(box).good


def test_nothing_is_written_over(box):
    box.export()
    with pytest.raises(StorageFault, match="BUNDLE_NOT_EMPTY"):
        box.export()


def test_a_disk_that_is_full_anywhere_makes_no_bundle_that_looks_whole(box):
    number = 0
    while True:
        out = box.out.with_name(f"out{number}")
        failing = FailingDisk(lambda count, _op, path, stop=number: 28 if count >= stop else None)
        box.disk = failing
        vaults = box.vaults
        box.vaults = [replace(vault, disk=Disk()) for vault in vaults]
        try:
            box.export(Span(T0, T0 + 2 * MINUTE), out=out)
        except StorageFault:
            pass
        else:
            break
        if (out / "proofs.json").exists():
            assert check(box, out=out).good, "only the last call failed, and all was there"
        else:
            with pytest.raises(IntegrityFault):
                check(box, out=out)
        number += 3
    assert number > 20
    assert check(box, out=out).good


def test_the_catalogue_alone_is_enough_for_another_process(box):
    """The command opens its own connection beside the keeper's."""
    other = Catalogue.open(box.state)
    site = replace(box.site(), catalogue=other)
    export.export(site, export.Request(taken(), box.out), box.now, lambda *_: None)
    other.close()
    assert check(box).good
    assert bundle.parse((box.out / "proofs.json").read_bytes()).camera == "cam1"
