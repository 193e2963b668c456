"""The page's door: each pass once, on one device, for its time; killed anywhere it is never open twice."""

from __future__ import annotations

import errno
import time

import pytest

from agent import passes
from agent.errors import StorageFault
from agent.field import issuing
from agent.field.issuing import PassError
from agent.field.page.door import IDLE_MS, Door, Entered, Times, clock
from agent.health import write_health
from agent.model import Instant, Trust
from agent.passes import CODE_BYTES, What, Why
from agent.storage import passbook
from agent.storage.catalogue import Catalogue
from agent.storage.files import Disk
from tests.unit.storage.box import FailingDisk

HOUR = 3_600_000
START = 1_790_000_000_000
PHONE = "192.168.77.20"


class Place:
    """A box whose clocks a test moves."""

    def __init__(self, root):
        self.state, self.folder = root / "state", root / "page"
        self.state.mkdir()
        Catalogue.prepare(self.state).close()
        passbook.make(self.folder, Disk())
        self.utc_ms, self.boot, self.boot_ms = START, "boot-1", 50_000
        self.chance, self.trusted = 0, True
        self.door = Door(self.folder, self.times)

    def times(self):
        return Times(self.utc_ms, self.boot, self.boot_ms, self.trusted)

    def reboot(self):
        self.boot, self.boot_ms = f"after {self.boot}", 20_000

    def wait(self, ms):
        self.utc_ms += ms
        self.boot_ms += ms

    def look(self, cookie, ms):
        """Keep the page open for a while, as a browser does that asks again by itself."""
        for _ in range(ms // 60_000):
            self.wait(60_000)
            assert self.door.who(cookie)
        self.wait(ms % 60_000)

    def at(self):
        return Instant(self.utc_ms, Trust.SYNCED)

    def issue(self, name="김정비", company="한빛보안", hours=4, **more):
        self.chance += 1
        return issuing.issue(
            self.state, self.folder, Disk(), at=self.at(), times=self.times(),
            chance=self.chance.to_bytes(CODE_BYTES) [::-1] + self.chance.to_bytes(4), name=name, company=company,
            hours=hours, by="officer", **more,
        )  # fmt: skip

    def revoke(self, name, **more):
        return issuing.revoke(
            self.state, self.folder, Disk(), self.at(), name, by="officer", reason="work is done", **more
        )

    def facts(self):
        catalogue = Catalogue.open(self.state)
        try:
            return [entry.kind for entry in catalogue.ledger()]
        finally:
            catalogue.close()

    def words(self):
        return [passbook.read_word(self.folder, name) for name in passbook.words(self.folder)]


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def test_a_code_opens_one_session_and_no_other(place):
    one, code = place.issue()
    entered = place.door.enter(code, PHONE)
    assert isinstance(entered, Entered)
    assert place.door.who(entered.cookie) == one
    assert place.door.enter(code, PHONE) is Why.USED
    assert place.door.enter(code, "192.168.77.21") is Why.USED
    assert place.door.open_sessions() == 1
    assert next((word.what, word.id) for word in place.words()) == (What.VISITED, one.id)


def test_a_session_outlives_the_page(place):
    one, code = place.issue()
    entered = place.door.enter(code, PHONE)
    other = Door(place.folder, place.times)
    assert other.who(entered.cookie) == one
    assert other.enter(code, PHONE) is Why.USED


def test_wrong_expired_and_revoked_are_refused_and_told(place):
    one, code = place.issue()
    two, second = place.issue(hours=1)
    place.revoke(one.id)
    place.wait(HOUR)
    assert place.door.enter("what", PHONE) is Why.UNKNOWN
    assert place.door.enter(code, PHONE) is Why.REVOKED
    assert place.door.enter(second, PHONE) is Why.EXPIRED
    assert [(word.why, word.id) for word in place.words()] == [
        (Why.UNKNOWN, ""), (Why.REVOKED, one.id), (Why.EXPIRED, two.id),
    ]  # fmt: skip


def test_a_session_ends_with_its_pass(place):
    one, code = place.issue(hours=1)
    cookie = place.door.enter(code, PHONE).cookie
    place.look(cookie, HOUR - 1)
    assert place.door.who(cookie) == one
    place.wait(1)
    assert place.door.who(cookie) is None
    two, code = place.issue()
    cookie = place.door.enter(code, PHONE).cookie
    place.revoke(two.id)
    assert place.door.who(cookie) is None
    assert place.door.open_sessions() == 0


def test_safety_standard_6_4_a_session_of_which_nothing_is_heard_ends_for_good(place):
    one, code = place.issue()
    cookie = place.door.enter(code, PHONE).cookie
    place.look(cookie, 2 * IDLE_MS)  # whoever looks is not cut off
    place.wait(IDLE_MS - 1)
    place.door.tell_rest()
    assert place.door.open_sessions() == 1
    assert place.door.who(cookie) == one
    place.wait(IDLE_MS)
    assert place.door.open_sessions() == 0
    assert place.door.who(cookie) is None
    place.door.tell_rest()
    assert Door(place.folder, place.times).who(cookie) is None  # also after the page's own restart
    assert place.door.enter(code, PHONE) is Why.USED


def test_an_idle_session_is_refused_where_its_end_cannot_be_written(place):
    full = False

    def fails(_number, op, _path):
        return errno.ENOSPC if full and op == "create" else None

    door = Door(place.folder, place.times, FailingDisk(fails))
    _, code = place.issue()
    cookie = door.enter(code, PHONE).cookie
    full = True
    place.wait(IDLE_MS)
    door.tell_rest()
    assert door.who(cookie) is None
    full = False
    door.tell_rest()
    assert Door(place.folder, place.times).who(cookie) is None


def test_a_session_of_before_a_restart_has_its_time_from_then_on(place):
    _, code = place.issue()
    cookie = place.door.enter(code, PHONE).cookie
    place.wait(IDLE_MS - 1)
    other = Door(place.folder, place.times)
    other.tell_rest()
    place.wait(IDLE_MS)
    assert other.who(cookie) is None


def test_a_clock_that_is_set_back_makes_no_pass_last_longer(place):
    """C3: an hour is an hour by the clock since boot too."""
    _, code = place.issue(hours=1)
    cookie = place.door.enter(code, PHONE).cookie
    place.look(cookie, HOUR - 1)
    place.wait(1)
    place.utc_ms -= 30 * HOUR
    assert place.door.who(cookie) is None


def test_a_box_that_starts_again_in_the_past_lets_nobody_in(place):
    """C1: neither a pass that was over, nor the session of one, nor one that was never used."""
    _, code = place.issue(hours=1)
    _, unused = place.issue(hours=1)
    cookie = place.door.enter(code, PHONE).cookie
    place.wait(2 * HOUR)
    place.reboot()
    for utc_ms, trusted in ((START - 1, True), (1_577_836_800_000, False), (START + 60_000, False)):
        place.utc_ms, place.trusted = utc_ms, trusted
        assert place.door.who(cookie) is None
        assert place.door.enter(unused, PHONE) is Why.EXPIRED
        assert place.door.open_sessions() == 0


def test_what_keep_says_of_the_clock_is_what_the_door_goes_by(tmp_path):
    boot_ms = int(time.clock_gettime(time.CLOCK_BOOTTIME) * 1000)
    assert clock().trusted
    assert not clock(tmp_path).trusted
    for trust, said_ms, trusted in (
        ("SYNCED", boot_ms, True), ("HOLDOVER", boot_ms, True), ("UNTRUSTED", boot_ms, False), ("SYNCED", 0, False),
    ):  # fmt: skip
        write_health(tmp_path, "keep", {"trust": trust, "boot_ms": said_ms})
        assert clock(tmp_path).trusted == trusted


def test_a_session_goes_on_after_a_restart_with_a_clock_that_is_relied_on(place):
    one, code = place.issue(hours=2)
    cookie = place.door.enter(code, PHONE).cookie
    place.wait(HOUR)
    place.reboot()
    assert place.door.who(cookie) == one
    place.wait(HOUR)
    assert place.door.who(cookie) is None


def test_on_a_box_that_lives_in_the_past_the_second_pass_leaves_the_first(place):
    """The ledger's time goes on along its line while the clock says 2020."""
    place.at = lambda: Instant(START, Trust.HOLDOVER)
    place.utc_ms = 1_577_836_800_000
    one, code = place.issue()
    cookie = place.door.enter(code, PHONE).cookie
    place.issue(name="이설비")
    assert place.door.who(cookie) == one


def test_a_pass_that_cannot_be_read_for_a_moment_stays_used(place):
    """Else it would open a second session when it is there again."""
    one, code = place.issue()
    _, second = place.issue()
    place.door.enter(code, PHONE)
    file = place.folder / "passes" / f"{one.id}.json"
    whole = file.read_bytes()
    file.write_bytes(b"")
    assert isinstance(place.door.enter(second, PHONE), Entered)
    file.write_bytes(whole)
    assert place.door.enter(code, PHONE) is Why.USED


def test_a_visit_is_told_however_many_refusals_wait(place):
    """Keep may be away while a stranger types."""
    _, code = place.issue()
    for number in range(passbook.MOST_WORDS):
        word = passes.Word(What.REFUSED, "", Why.UNKNOWN, 1, PHONE)
        passbook.put_word(place.folder, word, START + number, Disk())
    place.door.enter(code, PHONE)
    assert [word.what for word in place.words()].count(What.VISITED) == 1


def test_a_visit_that_cannot_be_told_is_told_later(place):
    full = True

    def fails(_number, op, path):
        return errno.ENOSPC if full and op == "create" and "/visits/" in str(path) else None

    door = Door(place.folder, place.times, FailingDisk(fails))
    _, code = place.issue()
    assert isinstance(door.enter(code, PHONE), Entered)
    assert place.words() == []
    full = False
    door.tell_rest()
    door.tell_rest()
    assert [word.what for word in place.words()] == [What.VISITED]


def test_who_leaves_is_out_and_the_pass_is_spent(place):
    _, code = place.issue()
    cookie = place.door.enter(code, PHONE).cookie
    place.door.leave("another")
    assert place.door.who(cookie)
    place.door.leave(cookie)
    assert place.door.who(cookie) is None
    assert place.door.who("") is None
    assert place.door.enter(code, PHONE) is Why.USED


def test_five_wrong_codes_lock_their_source_out_and_nobody_else(place):
    _, code = place.issue()
    for _ in range(passes.FAILURES):
        assert place.door.enter("00000-00000-00000-00000", PHONE) is Why.UNKNOWN
    assert place.door.enter(code, PHONE) is Why.LOCKED
    assert isinstance(place.door.enter(code, "192.168.77.21"), Entered)
    assert What.LOCKED in [word.what for word in place.words()]
    _, code = place.issue()
    place.wait(int(passes.LOCKED_S * 1000))
    assert isinstance(place.door.enter(code, PHONE), Entered)


def test_many_sources_lock_the_door_but_not_those_who_are_in(place):
    one, code = place.issue()
    cookie = place.door.enter(code, PHONE).cookie
    for number in range(passes.FAILURES_OF_ALL):
        place.door.enter("x", f"10.0.{number}.1")
    _, code = place.issue()
    assert place.door.is_locked
    assert place.door.enter(code, "192.168.77.99") is Why.LOCKED
    assert place.door.who(cookie) == one


def test_refusals_are_told_once_a_minute_with_their_number(place):
    for number in range(30):
        place.door.enter("x", f"10.0.{number}.1")
    assert [word.count for word in place.words()] == [1]
    place.wait(60_000)
    place.door.tell_rest()
    assert sorted(word.count for word in place.words()) == [1, 29]


def test_killed_when_it_was_written_down_the_pass_is_spent(place):
    class Killed(BaseException):
        pass

    def die(_step):
        raise Killed

    _, code = place.issue()
    with pytest.raises(Killed):
        Door(place.folder, place.times, step=die).enter(code, PHONE)
    assert place.door.enter(code, PHONE) is Why.USED


def test_where_that_cannot_be_written_down_nobody_gets_in(place):
    """B9: a disk that turned read-only."""
    _, code = place.issue()
    door = Door(
        place.folder,
        place.times,
        FailingDisk(lambda _number, op, _path: errno.EROFS if op == "create" else None),
    )
    with pytest.raises(StorageFault):
        door.enter(code, PHONE)
    assert isinstance(place.door.enter(code, PHONE), Entered)


def test_where_the_used_passes_cannot_be_read_nobody_gets_in(place):
    _, code = place.issue()
    (place.folder / "own" / "sessions.json").write_text("[[[")
    with pytest.raises(StorageFault, match="PAGE_SESSIONS"):
        place.door.enter(code, PHONE)


@pytest.mark.parametrize(("dies", "facts", "lets"), [("W1", 1, False), ("W2", 1, True)])
def test_killed_while_a_pass_is_issued(place, dies, facts, lets):
    codes = []

    class Killed(BaseException):
        pass

    def die(step):
        if step == dies:
            raise Killed

    with pytest.raises(Killed):
        codes.append(place.issue(step=die))
    assert place.facts().count("pass.issued") == facts
    assert bool(passbook.listed(place.folder)) == lets


def test_killed_while_a_pass_is_revoked_it_lets_nobody_in(place):
    one, code = place.issue()

    class Killed(BaseException):
        pass

    def die(_step):
        raise Killed

    with pytest.raises(Killed):
        place.revoke(one.id, step=die)
    assert place.door.enter(code, PHONE) is Why.REVOKED
    assert "pass.revoked" not in place.facts()
    place.revoke(one.id)
    assert place.facts().count("pass.revoked") == 1


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"name": ""}, "PASS_TEXT"),
        ({"company": "a\nb"}, "PASS_TEXT"),
        ({"hours": 0}, "PASS_HOURS"),
        ({"hours": 169}, "PASS_HOURS"),
    ],
)
def test_what_no_pass_can_be_is_refused_before_anything_is_written(place, asked, code):
    with pytest.raises(PassError, match=code):
        place.issue(**asked)
    assert place.facts() == []


def test_another_pass_than_there_is_cannot_be_revoked(place):
    place.issue()
    with pytest.raises(PassError, match="PASS_UNKNOWN"):
        place.revoke("ffffffff")


def test_passes_that_are_long_over_make_room_for_new_ones(place):
    for _ in range(passes.MOST_PASSES):
        place.issue(hours=1)
    with pytest.raises(StorageFault, match="PASS_MANY"):
        place.issue()
    place.wait(31 * 24 * HOUR)
    place.issue()
    assert len(passbook.listed(place.folder)) == 1


def test_no_file_and_no_fact_holds_a_code_or_a_cookie(place):
    """H11: whoever copies the disk opens nothing with it."""
    _, code = place.issue()
    cookie = place.door.enter(code, PHONE).cookie
    for root in (place.folder, place.state):
        for file in root.rglob("*"):
            if file.is_file():
                data = file.read_bytes()
                assert code.encode() not in data
                assert code.replace("-", "").encode() not in data
                assert cookie.encode() not in data
