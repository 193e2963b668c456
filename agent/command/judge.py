"""Judge what came as a command: carry it out, refuse it, let it wait for one that is still to come, or delay it. Pure.

The order of the questions is the security of it: first whether it is for this box and really signed, by a key that is
obeyed; then whether its number was used, which is settled by every answer that follows; then its time; then what it
asks for. Who is refused after the number was looked at has used it up: nobody can send the same letter again when
circumstances have changed.

Source  docs/adr/0012-signed-commands.md; docs/formats.md, "Command"
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agent.command import jws, order, table
from agent.command.counters import Counter, Take
from agent.command.errors import CommandRefused
from agent.command.order import MOST_LIFE_MS, Letter, Order
from agent.command.table import COMMANDS, COUNTERSIGNING, is_command_id
from agent.model import Trust

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agent.command.keyring import Key, Ring
    from agent.model import Instant

ASK_S = 8.0
"""So long a command waits for those before it; then the centre is asked for them: keeper and uplink look once a second,
so the question is on its way within 10 s (E3)."""
PATIENCE_S = 60.0
"""After so long it goes on without them, and they will never run."""
AHEAD_MS = 120_000
"""A clock at the centre may be ahead of the box's by so much."""


@dataclass(frozen=True, slots=True)
class World:
    """What the judgement depends on.

    now         the box's time
    floor_ms    the true time cannot be before this: the last known right time, UTC ms
    challenges  those that are still taken
    shut        keys under which there were too many bad signatures: more of them are not answered for a while. What
                is really signed is heard: else anybody who reaches the broker could shut out whoever he likes
    forgotten   the used numbers were lost: a key without a counter needs the challenge
    """

    box: str
    ring: Ring
    counters: Mapping[str, Counter]
    now: Instant
    floor_ms: int
    challenges: frozenset[str]
    shut: frozenset[str] = frozenset()
    locked_down: bool = False
    forgotten: bool = False


@dataclass(frozen=True, slots=True)
class Weight:
    """What an order weighs with what the box has stored.

    signatures    that it needs, at least
    erasable_ms   how much stored time it makes erasable before its time, of all cameras together
    delayed       it must wait: with others of the last day that is too much
    """

    signatures: int = 1
    erasable_ms: int = 0
    delayed: bool = False


@dataclass(frozen=True, slots=True)
class Accept:
    """Carry it out; `delayed` only after its day has passed."""

    order: Order
    takes: tuple[Take, ...]
    weight: Weight

    @property
    def delayed(self) -> bool:
        """Tell whether it must wait for a day."""
        return self.weight.delayed


@dataclass(frozen=True, slots=True)
class Wait:
    """Look again later: a command before it has not come. `ask` when it is time to ask for it."""

    id: str
    command: str
    kid: str
    number: int
    expects: int
    ask: bool


@dataclass(frozen=True, slots=True)
class Refuse:
    """Never carry it out.

    code      of the error; reason  what it was about, in our own words
    id        of the command, empty when it is not known or nobody is to be answered
    command   empty when it is none that we know
    kid       whose key it names, empty when none in the ring
    forged    the signature under that key is wrong
    takes     numbers that are used up by it
    """

    code: str
    reason: str = ""
    id: str = ""
    command: str = ""
    kid: str = ""
    forged: bool = False
    takes: tuple[Take, ...] = ()


Verdict = Accept | Wait | Refuse


@dataclass(slots=True)
class _Case:
    """What is asked, and what is known of a letter so far, for whoever refuses it."""

    world: World
    weigh: Callable[[Order], Weight]
    id: str = ""
    command: str = ""
    kid: str = ""
    forged: bool = False
    takes: list[Take] = field(default_factory=list)


class _Early(Exception):
    """It came before one that must be carried out first."""

    def __init__(self, number: int, expects: int) -> None:
        super().__init__()
        self.number = number
        self.expects = expects


def judge(
    text: str,
    world: World,
    weigh: Callable[[Order], Weight],
    *,
    retained: bool = False,
    waited_s: float = 0.0,
) -> Verdict:
    """Judge what came.

    text      what should be a compact JWS
    weigh     asked once, last of all; may raise CommandRefused
    retained  the broker had kept it: whoever connects gets it again and again
    waited_s  how long it has been waiting for others
    """
    if retained:
        return Refuse("COMMAND_RETAINED")
    case = _Case(world, weigh)
    try:
        return _judge(text, case, waited_s)
    except _Early as early:
        return Wait(case.id, case.command, case.kid, early.number, early.expects, waited_s >= ASK_S)
    except CommandRefused as refused:
        reason = str(refused.context.get("reason", ""))
        takes = tuple(case.takes)
        return Refuse(refused.code, reason, case.id, case.command, case.kid, case.forged, takes)


def _judge(text: str, case: _Case, waited_s: float) -> Verdict:
    world = case.world
    letter, key = _open(text, case)
    _remembered(letter, key, world)
    counter = world.counters.get(key.kid, Counter())
    if not counter.is_new(letter.counter):
        raise CommandRefused("COMMAND_REPLAYED", "its number was used before")
    case.takes.append(Take(key.kid, letter.counter))
    _obeyed(letter, key, world)
    if letter.counter > counter.mark + 1 and waited_s < PATIENCE_S:
        raise _Early(letter.counter, counter.mark + 1)
    _timely(letter, key, world)
    if order.is_countersign(letter):
        return _countersigned(text, letter, key, case)
    wanted = Order(letter.id, letter, (key,), text)
    weight = _allowed(wanted, case)
    return Accept(wanted, tuple(case.takes), weight)


def _countersigned(text: str, outer: Letter, second: Key, case: _Case) -> Verdict:
    """Judge the order that a second signature carries."""
    world = case.world
    table.check_arguments(COUNTERSIGNING, outer.arguments)
    letter, first = _carried(outer.arguments["order"], second, world)
    _remembered(letter, first, world)
    _obeyed(letter, first, world)
    if not world.counters.get(first.kid, Counter()).is_unused(letter.counter):
        raise CommandRefused("COMMAND_REPLAYED", "the number of the order was used before", reason="order")
    _timely(letter, first, world, outer)
    wanted = Order(outer.id, letter, (first, second), text)
    weight = _allowed(wanted, case)
    # Only now: whoever signs second without the right to do so shall not use the order up.
    return Accept(wanted, (*case.takes, Take(first.kid, letter.counter)), weight)


def _carried(text: str, second: Key, world: World) -> tuple[Letter, Key]:
    """Read an order that one person signed, for another one to sign as the second."""
    letter, first = _open(text, _Case(world, lambda _: Weight()))
    if order.is_countersign(letter):
        raise CommandRefused(
            "COMMAND_ARGUMENT", "a second signature under a second signature", reason="order"
        )
    if first.kid == second.kid or first.person == second.person:
        raise CommandRefused("COMMAND_SAME_SIGNER", "both signatures are of one person")
    return letter, first


def before_second(text: str, second: Key, ring: Ring, box: str, now: Instant) -> Order:
    """Judge an order before its second signature: what a box asks, as far as that is known elsewhere.

    Which numbers were used, which challenge is taken and what is stored, the box alone knows.

    text    compact JWS of the first signer
    second  who is to sign it
    Raises  CommandRefused with the code of a box's refusal
    """
    challenge = jws.peek(text)[1].get("challenge")
    known = frozenset({challenge} if isinstance(challenge, str) else ())
    world = World(box, ring, {}, now, 0, known)
    letter, first = _carried(text, second, world)
    _obeyed(letter, first, world)
    if not second.serves(box):
        raise CommandRefused("COMMAND_KEY_BOX", "the second key is not for this box")
    _timely(letter, first, world)
    wanted = Order(letter.id, letter, (first, second), text)
    _allowed(wanted, _Case(world, lambda _: Weight(), takes=[Take(first.kid, letter.counter)]))
    return wanted


def _open(text: str, case: _Case) -> tuple[Letter, Key]:
    """Return what was signed for this box, and the key that did."""
    world = case.world
    header, body = jws.peek(text)
    if header["typ"] != order.TYP:
        raise CommandRefused("JWS_TYPE", "it was signed for another purpose")
    if body.get("box") != world.box:
        raise CommandRefused("COMMAND_BOX", "for another box")
    if body.get("city") != world.ring.city:
        raise CommandRefused("COMMAND_CITY", "of another city")
    # From here on it names us, and is answered.
    if is_command_id(body.get("id")):
        case.id = body["id"]
    if body.get("command") in COMMANDS or body.get("command") == table.COUNTERSIGN:
        case.command = body["command"]
    key = world.ring.find(header["kid"])
    if key is None:
        raise CommandRefused("COMMAND_KEY", "no key of the ring")
    case.kid = key.kid
    try:
        jws.verify(text, key.public_key, order.TYP)
    except CommandRefused:
        case.forged = True
        if key.kid in world.shut:
            case.id = ""
            raise CommandRefused("COMMAND_SHUT", "too many bad signatures under this key") from None
        raise
    return order.read(header, body), key


def _remembered(letter: Letter, key: Key, world: World) -> None:
    """Ask for the challenge where the used numbers of a key were lost.

    A letter that bears it has a higher number than all that were used before. So no number is used up by the refusal
    of one that does not: from that on the lower ones would seem to be known.
    """
    lost = world.forgotten and key.kid not in world.counters
    if lost and letter.challenge not in world.challenges:
        raise CommandRefused("COMMAND_CHALLENGE", "the used numbers were lost: it needs the challenge")


def _obeyed(letter: Letter, key: Key, world: World) -> None:
    """Ask whether the key is obeyed."""
    if key.kid in world.ring.revoked:
        raise CommandRefused("COMMAND_REVOKED", "the key was revoked")
    if not key.serves(world.box):
        raise CommandRefused("COMMAND_KEY_BOX", "the key is not for this box")
    if letter.role != key.role:
        raise CommandRefused("COMMAND_ROLE", "the key has another role", reason=str(key.role))


def _timely(letter: Letter, key: Key, world: World, outer: Letter | None = None) -> None:
    """Ask whether it is for now, and the key too.

    While the time cannot be relied on, the challenge shows that it was signed a moment ago. The key is then judged by
    the time that the signer names, which must not be before the last time that was known to be right: so a key that
    had ended by then ends for good.

    outer  the second signature around it: its challenge shows that it, and not what is in it, was signed a moment ago
    """
    if not 0 < letter.expires_ms - letter.issued_ms <= MOST_LIFE_MS:
        raise CommandRefused("COMMAND_LIFETIME", "it must end within a day")
    if letter.challenge is not None and letter.challenge not in world.challenges:
        raise CommandRefused("COMMAND_CHALLENGE", "not a challenge that is taken now")
    newest = outer or letter
    now_ms = world.now.utc_ms
    if world.now.trust is Trust.UNTRUSTED:
        if newest.challenge is None:
            raise CommandRefused(
                "COMMAND_CHALLENGE", "the box's time cannot be relied on: it needs the challenge"
            )
        if letter.issued_ms < world.floor_ms - AHEAD_MS:
            raise CommandRefused("COMMAND_EXPIRED", "signed before the last time that was known to be right")
        now_ms = newest.issued_ms
    if letter.issued_ms > now_ms + AHEAD_MS:
        raise CommandRefused("COMMAND_FUTURE", "signed in the future")
    if now_ms >= letter.expires_ms:
        raise CommandRefused("COMMAND_EXPIRED", "its time is over")
    if not key.is_valid(now_ms):
        raise CommandRefused("COMMAND_LAPSED", "the key's time is over, or has not come")


def _allowed(wanted: Order, case: _Case) -> Weight:
    """Ask whether these signers may order this."""
    letter = wanted.letter
    command = COMMANDS.get(letter.command)
    if command is None:
        raise CommandRefused("COMMAND_UNKNOWN", "no such command")
    first, *seconds = wanted.signers
    if first.role not in command.roles or not all(command.may_second(key.role) for key in seconds):
        raise CommandRefused("COMMAND_ROLE", "not for this role", reason=command.name)
    table.check_arguments(command, letter.arguments)
    if not wanted.sees(table.cameras_of(command, letter.arguments)):
        raise CommandRefused("COMMAND_CAMERA", "the key is not for this camera")
    if command.challenge and letter.challenge is None:
        raise CommandRefused("COMMAND_CHALLENGE", "this command always needs the challenge")
    if case.world.locked_down and not command.locked:
        raise CommandRefused("COMMAND_LOCKDOWN", "the box is locked down")
    weight = case.weigh(wanted)
    if len(wanted.signers) < max(command.signatures, weight.signatures):
        # It cannot run by itself, now or ever; inside a second signature it still may.
        case.takes[0] = Take(first.kid, letter.counter, ran=False)
        raise CommandRefused("COMMAND_SECOND", "it needs a second signature")
    return weight


def still_allowed(wanted: Order, ring: Ring, box: str, now: Instant) -> str:
    """Return why an order that was delayed may not be carried out any more; empty when it may."""
    for signer in wanted.signers:
        key = ring.find(signer.kid)
        if key is None or key.kid in ring.revoked or key.role != signer.role or not key.serves(box):
            return "COMMAND_REVOKED"
        if not key.is_valid(now.utc_ms):
            return "COMMAND_LAPSED"
    return ""
