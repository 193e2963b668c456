"""One box as the centre sees it: when it is silent, and what is asked of it."""

from __future__ import annotations

import pytest

from agent.centre import standing as module
from agent.centre.following import Finding, What
from agent.centre.standing import SILENCE_S, Seen, Standing, clean, inspected_head

HEALTH = {
    "trust": "SYNCED",
    "challenge": "ab",
    "backlog": 7,
    "seq": 100,
    "cameras": [[4, 150, 2000], [5, 0, 0]],
    "conditions": [["camera.lost", "cam02", 5]],
    "vaults": [[120, 304], [None, None]],
}
LEDGER = "00112233445566aa"


class Ledger:
    """As much of a Following as is looked at."""

    def __init__(self, size=0, verified=0, *, behind=False, hole=False, lost=0):
        self.lost = lost
        self.size, self.behind, self.hole = size, behind, hole
        self.verified = Finding(What.VERIFIED, verified, b"r" * 32) if verified else None


@pytest.fixture
def box():
    found = Standing("gn-0007", "site", 0.0)
    found.hear("health", HEALTH, 0.0, retained=False)
    return found


def wish(box, now_s, ledger=None, acknowledged=0, time_ms=None):
    found = box.wish(LEDGER, ledger, acknowledged, now_s, time_ms=time_ms)
    return found and (found.command, found.arguments)


def test_health_is_read(box):
    assert (box.trust, box.challenge, box.backlog, box.seq, box.recording) == ("SYNCED", "ab", 7, 100, 1)
    assert box.conditions == [Seen("camera.lost", "cam02", 5)]
    assert box.vaults == [(120, 304), (None, None)]


def test_whoever_tells_its_health_is_there(box):
    box.hear("state", {"online": False}, 1.0, retained=False)
    box.hear("health", HEALTH, 2.0, retained=True)
    assert box.online is False
    box.hear("health", HEALTH, 3.0, retained=False)
    assert box.online is True


def test_a_birth_says_less_of_now_than_a_health(box):
    more = {"versions": {"pasu": "0.1.0"}, "conditions": [], "challenge": "", "trust": "UNTRUSTED"}
    box.hear("birth", more, 1.0, retained=False)
    assert (box.version, box.trust, box.challenge) == ("0.1.0", "SYNCED", "ab")
    assert box.conditions == [Seen("camera.lost", "cam02", 5)]


def test_a_birth_is_read():
    box = Standing("gn-0007", "site", 0.0)
    conditions = [{"code": "a.b", "subject": "", "since_ms": 1}, 7]
    box.hear("birth", {"versions": {"pasu": "0.1.0"}, "conditions": conditions}, 1.0, retained=True)
    assert (box.version, box.conditions, box.heard_s) == ("0.1.0", [Seen("a.b", "", 1)], None)
    box.hear("birth", {"versions": 7}, 1.0, retained=False)
    assert (box.version, box.heard_s) == ("", 1.0)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"cameras": 7, "conditions": 7, "vaults": 7, "backlog": True},
        {"cameras": [[1], 1], "conditions": [1], "vaults": [1]},
    ],
)
def test_what_is_wrong_is_left_out(body):
    box = Standing("gn-0007", "site", 0.0)
    box.hear("health", body, 0.0, retained=False)
    assert (box.cameras, box.conditions, box.vaults, box.backlog) == ([], [], [], 0)


@pytest.mark.parametrize(
    ("reply", "found"),
    [
        ({}, None),
        ({"detail": {"inspection": 7}}, None),
        ({"detail": {"inspection": {"7_measures": {"ledger": {"checkpoint": ""}}}}}, None),
        (
            {
                "detail": {
                    "inspection": {"at_ms": 5, "7_measures": {"ledger": {"id": "x", "checkpoint": "n"}}}
                }
            },
            {"ledger": "x", "note": "n", "at_ms": 5},
        ),
    ],
)
def test_the_head_of_an_inspection_is_read(reply, found):
    assert inspected_head(reply) == found


def test_a_terminal_is_safe_from_what_a_box_says():
    assert clean("a\x1b[31mb\nc") == "a[31mbc"
    assert len(clean("x" * 10_000)) == 200
    assert clean(None) == ""


def test_h3_silence_is_told_within_a_minute_once_and_ends_with_the_next_word(box):
    assert not box.fell_silent(SILENCE_S - 0.1)
    assert box.fell_silent(SILENCE_S)
    assert not box.fell_silent(SILENCE_S + 1)
    assert not box.hear("state", {"online": False}, 62.0, retained=False)
    assert box.online is False
    assert not box.hear("health", HEALTH, 62.0, retained=True)
    assert box.hear("state", {"online": True}, 63.0, retained=False)
    assert not box.hear("health", HEALTH, 64.0, retained=False)
    assert box.told_s == 64.0


def test_a_box_that_never_spoke_falls_silent_too():
    assert Standing("gn-0007", "site", 5.0).fell_silent(65.0)


def test_silence_counts_from_when_somebody_listens_again(box):
    """A broker that was away says nothing of any box."""
    box.listen(300.0)
    assert not box.fell_silent(300 + SILENCE_S - 0.1)
    assert box.fell_silent(300 + SILENCE_S)
    never = Standing("gn-0007", "site", 0.0)
    never.listen(300.0)
    assert not never.fell_silent(300 + SILENCE_S - 0.1)
    assert never.fell_silent(300 + SILENCE_S)


def heard(box, now_s, seq, recording=1):
    cameras = [[4, 150, 2000]] * recording
    box.hear("health", HEALTH | {"seq": seq, "cameras": cameras}, now_s, retained=False)


def away(box, verified, seq, *, recording=1, begin_s=0, end_s=4000):
    """Return when it is told that the ledger stays away, of a box that is heard all the time."""
    told = []
    for now_s in range(begin_s, end_s, 30):
        heard(box, float(now_s), seq(now_s), recording)
        if box.ledger_stays_away(verified(now_s), float(now_s)):
            told.append(now_s)
    return told


def test_e7_a_ledger_that_does_not_come_is_told_once_though_the_box_is_heard(box):
    """E7: somebody on the way lets the health through, and nothing else."""
    assert away(box, lambda now_s: 60, lambda now_s: 100 + now_s) == [1800]
    assert away(box, lambda now_s: 100 + now_s, lambda now_s: 100 + now_s, begin_s=4000, end_s=5000) == []
    assert away(box, lambda now_s: 5100, lambda now_s: 100 + now_s, begin_s=5000, end_s=8000) == [6800]


def test_e7_a_ledger_that_comes_ever_later_is_told(box):
    """E7: one old head now and then is not enough."""
    assert away(box, lambda now_s: now_s // 4, lambda now_s: 100 + now_s) == [3900]


def test_a_ledger_that_comes_in_its_time_is_nothing_to_tell(box):
    def verified(now_s):
        return 100 + max(0, now_s - 60) // 600 * 600  # a head every ten minutes

    assert away(box, verified, lambda now_s: 100 + now_s, end_s=20_000) == []


def test_a_box_that_records_and_has_nothing_to_tell_is_told(box):
    """E7: an uplink that was taken over says nothing of what it keeps back."""
    assert away(box, lambda _: 100, lambda _: 100) == [1800]
    assert away(box, lambda _: 100, lambda _: 100, recording=0, begin_s=4000, end_s=9000) == []


def test_a_box_that_is_never_heard_of_its_ledger_is_told(box):
    """E7: the healths that name it are held back too."""
    told = []
    for now_s in range(0, 4000, 30):
        body = {name: said for name, said in HEALTH.items() if name not in ("seq", "cameras")}
        more = {"seq": 100} if now_s % 300 == 0 and now_s < 1000 else {}
        box.hear("health", body | more, float(now_s), retained=False)
        if box.ledger_stays_away(100, float(now_s)):
            told.append(now_s)
    assert told == [1770 + 1800]


def test_a_ledger_that_is_shorter_than_what_is_proven_is_told(box):
    assert away(box, lambda _: 100, lambda _: 50, recording=0) == [1800]


def test_what_nobody_could_hear_does_not_count(box):
    assert away(box, lambda _: 60, lambda _: 100, end_s=1700) == []
    box.listen(1700.0)
    assert away(box, lambda _: 60, lambda _: 100, begin_s=1700, end_s=3400) == []
    assert box.fell_silent(4000.0)
    assert not box.ledger_stays_away(60, 4000.0)
    assert away(box, lambda _: 60, lambda _: 100, begin_s=4010, end_s=5700) == []
    never = Standing("gn-0007", "site", 0.0)
    assert not never.ledger_stays_away(0, 9000.0)


def test_nothing_is_asked_of_who_is_not_there(box):
    hole = Ledger(5, behind=True, hole=True)
    assert wish(Standing("gn-0007", "site", 0.0), 100.0, hole) is None
    box.fell_silent(100.0)
    assert wish(box, 100.0, hole) is None
    assert wish(box, 200.0, hole) is None


@pytest.mark.parametrize(("hole", "size", "after_s"), [(True, 5, 5), (False, 5, 90), (False, 0, 5)])
def test_what_is_missing_is_asked_for_after_a_while(box, hole, size, after_s):
    ledger = Ledger(size, behind=True, hole=hole)
    assert wish(box, 1.0, ledger) is None
    assert wish(box, after_s + 0.9, ledger) is None
    asked = ("facts.resend", {"ledger": LEDGER, "from_seq": size + 1})
    assert wish(box, after_s + 1.0, ledger) == asked
    assert wish(box, after_s + 30.9, ledger) is None
    assert wish(box, after_s + 61.0, ledger) == asked  # and then ever more rarely
    assert wish(box, after_s + 62.0, ledger) is None


def test_what_is_said_to_be_gone_is_asked_for_too_but_rarely(box):
    lost = Ledger(5, lost=6)
    asked = [at_s for at_s in range(0, 400_000, 10) if wish(box, float(at_s), lost)]
    assert asked == [90, 1290, 3690, 8490, 18090, 37290, 75690, 152490, 238890, 325290]
    assert wish(box, 400_001.0, Ledger(6)) is None
    assert box._resend_wait_s == module.RESEND_S[0]


def test_what_comes_in_is_waited_for(box):
    assert wish(box, 1.0, Ledger(5, behind=True, hole=True)) is None
    assert wish(box, 7.0, Ledger(50, behind=True, hole=True)) is None
    assert wish(box, 8.0, Ledger(60)) is None
    assert box._resend_wait_s == module.RESEND_S[0]


def test_much_is_acknowledged_soon_and_little_within_the_hour(box):
    much = Ledger(1200, 1100)
    root = (b"r" * 32).hex()
    assert wish(box, 1.0, much) == ("ledger.acknowledge", {"ledger": LEDGER, "size": 1100, "root": root})
    assert wish(box, 2.0, much) is None
    assert wish(box, 31.0, much) is not None
    little = Ledger(1200, 1200)
    assert wish(box, 3600.0, little, 1100) is None
    assert wish(box, 3631.0, little, 1100) is not None
    assert wish(box, 9000.0, little, 1200) is None
    assert wish(box, 9000.0, Ledger(10), 0) is None


def test_a_city_does_not_answer_all_boxes_at_once():
    first = set()
    for number in range(200):
        box = Standing(f"gn-{number:04d}", "site", 0.0)
        box.hear("health", HEALTH, 0.0, retained=False)
        first.add(next(second for second in range(3700) if wish(box, float(second), Ledger(10, 10))))
    assert len(first) > 100
    assert max(first) <= 3600


def test_the_time_is_confirmed_only_where_it_is_known_and_asked_for(box):
    box.hear("health", HEALTH | {"trust": "UNTRUSTED"}, 0.0, retained=False)
    assert wish(box, 1.0) is None
    assert wish(box, 1.0, time_ms=5) == ("time.confirm", {"utc_ms": 5})
    assert wish(box, 2.0, time_ms=6) is None
    assert wish(box, 61.0, time_ms=7) is not None
    box.hear("health", HEALTH | {"trust": "UNTRUSTED", "challenge": ""}, 0.0, retained=False)
    assert wish(box, 200.0, time_ms=8) is None
