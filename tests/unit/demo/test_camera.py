import asyncio
import re
from itertools import pairwise

import pytest

from agent.demo.camera import VirtualCamera
from agent.demo.ledger import read_frames, read_requests
from agent.demo.replay import ReplayCamera, ReplayUnit
from agent.demo.server import CameraProcess, Fleet, parser, specs_from
from agent.demo.spec import CameraSpec
from agent.demo.stamp import AUDIO_MARKER, Stamp, stamps_in
from agent.demo.units import join_sample
from tests.unit.demo.client import Client, basic, digest, until

SMALL = {"width": 128, "height": 96, "fps": 30, "gop": 10, "prepared": True}


def spec(number=1, **words):
    return CameraSpec(number, **{**SMALL, **words})


def with_camera(test, **words):
    """Run a coroutine function against a camera of its own."""

    async def run():
        camera = VirtualCamera(spec(**words))
        await camera.start()
        try:
            return await asyncio.wait_for(test(camera), 60)
        finally:
            await camera.stop()

    return asyncio.run(run())


def sequence(packet):
    return int.from_bytes(packet[2:4], "big")


def timestamps(packets):
    """Return the timestamps of the access units, in the order in which they came."""
    found = []
    for packet in packets:
        stamp = int.from_bytes(packet[4:8], "big")
        if not found or found[-1] != stamp:
            found.append(stamp)
    return found


def stamps(packets):
    """Stamps of small frames, whose SEI lies whole in one packet."""
    return [stamp.frame for packet in packets if (stamp := stamps_in("h264", packet))]


def test_a_session_gets_every_frame_once_and_the_ledger_knows():
    async def test(camera):
        client = await Client.open(camera.url)
        status, _, body = await client.ask("DESCRIBE")
        assert status == 200
        assert re.search(r"m=video .*m=audio ", body, re.DOTALL)
        assert camera.sessions == 0
        assert "interleaved=0-1" in await client.play()
        packets = await client.packets(40)
        assert camera.sessions == 1
        assert [sequence(p) for p in packets] == [
            (sequence(packets[0]) + n) % 65536 for n in range(len(packets))
        ]
        numbers = stamps(packets)
        assert len(numbers) >= 15
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        sent = {entry.frame: entry for entry in camera.ledger.frames if entry.sessions}
        assert set(numbers) <= set(sent)
        found = {s.frame: s for p in packets if (s := stamps_in("h264", p))}
        assert all(found[n] == Stamp(1, n, sent[n].utc_ms) for n in numbers)
        assert client.on(1)[0][:2] == b"\x80\xc8"  # a sender report came first
        assert client.on(2) == []
        methods = [entry.method for entry in camera.ledger.requests]
        assert methods == ["DESCRIBE", "SETUP", "PLAY"]
        assert camera.ledger.requests[1].url.endswith("/trackID=0")
        assert (await client.ask("TEARDOWN"))[0] == 200
        await until(lambda: client.closed)
        await until(lambda: camera.sessions == 0)
        await client.close()

    with_camera(test)


def test_two_clients_get_the_same_frames():
    async def test(camera):
        clients = [await Client.open(camera.url) for _ in range(2)]
        for client in clients:
            await client.play()
        await until(lambda: all(len(client.on(0)) > 30 for client in clients))
        one, two = (set(stamps(client.on(0))) for client in clients)
        assert len(one & two) >= 8
        assert max(entry.sessions for entry in camera.ledger.frames) == 2
        for client in clients:
            await client.close()

    with_camera(test)


def test_sound_flows_only_when_it_is_set_up():
    async def test(camera):
        client = await Client.open(camera.url)
        await client.ask("SETUP", f"{camera.url}/trackID=1", Transport="RTP/AVP/TCP;interleaved=2-3")
        await client.play()
        sound = await client.packets(10, channel=2)
        assert all(AUDIO_MARKER in packet for packet in sound)
        await client.close()

    with_camera(test)


def test_sound_pushed_on_a_channel_nobody_negotiated():
    async def test(camera):
        client = await Client.open(camera.url)
        await client.play()
        assert AUDIO_MARKER in (await client.packets(3, channel=9))[0]
        assert not [entry for entry in camera.ledger.requests if entry.url.endswith("/trackID=1")]
        await client.close()

    with_camera(test, quirks="audio_pushed=9")


@pytest.mark.parametrize(
    "quirk", ["", "digest_md5", "digest_sha256", "digest_no_qop", "basic", "digest_both"]
)
def test_log_in(quirk):
    async def test(camera):
        client = await Client.open(camera.url)
        status, headers, _ = await client.ask("DESCRIBE")
        assert status == 401
        challenge = headers["www-authenticate"]

        def answer(password):
            if challenge.startswith("Basic"):
                return basic("admin", password)
            return digest(challenge, "admin", password, "DESCRIBE", camera.url)

        assert ("SHA-256" in challenge) == (quirk in ("digest_sha256", "digest_both"))
        assert ("qop" in challenge) == (quirk not in ("digest_no_qop", "basic"))
        assert challenge.startswith("Basic") == (quirk == "basic")
        assert (await client.ask("DESCRIBE", Authorization=answer("wrong")))[0] == 401
        client.garbage = 0
        assert (await client.ask("DESCRIBE", Authorization=answer("geheim")))[0] == 200
        assert "geheim" not in str(camera.ledger.requests)
        assert "response" not in str(camera.ledger.requests)
        await client.close()

    with_camera(test, quirks=quirk, username="admin", password="geheim")


def test_one_session_only():
    async def test(camera):
        client, second = [await Client.open(camera.url) for _ in range(2)]
        await client.play()
        third = await Client.open(camera.url)
        assert (await third.ask("DESCRIBE"))[0] == 453
        await until(lambda: third.closed)
        assert (await second.ask("OPTIONS"))[0] == 200
        for one in (client, second, third):
            await one.close()
        await until(lambda: camera.sessions == 0)
        again = await Client.open(camera.url)
        assert (await again.ask("DESCRIBE"))[0] == 200
        await again.close()

    with_camera(test, quirks="one_session_only")


def test_redirects():
    async def same(camera):
        for _ in range(2):
            client = await Client.open(camera.url)
            status, headers, _ = await client.ask("DESCRIBE")
            assert (status, headers["location"]) == (302, f"{camera.url}/moved")
            await client.close()
            client = await Client.open(camera.url)
            assert (await client.ask("DESCRIBE", headers["location"]))[0] == 200
            await client.close()

    async def other(camera):
        client = await Client.open(camera.url)
        for _ in range(2):
            status, headers, _ = await client.ask("DESCRIBE")
            assert status == 302
            assert str(camera.port) not in headers["location"]
        await client.close()

    with_camera(same, quirks="redirect_same_host")
    with_camera(other, quirks="redirect_other_host")


def test_needs_user_agent():
    async def test(camera):
        client = await Client.open(camera.url)
        assert (await client.ask("OPTIONS"))[0] == 401
        assert (await client.ask("OPTIONS", User_Agent="x"))[0] == 200
        await client.close()

    with_camera(test, quirks="needs_user_agent")


def test_setup_then_silence():
    async def test(camera):
        client = await Client.open(camera.url)
        await client.play()
        made = len(camera.ledger.frames)
        await until(lambda: len(camera.ledger.frames) > made + 20)
        assert client.frames == []
        await client.close()

    with_camera(test, quirks="setup_then_silence")


def test_keepalive_by_options_only():
    async def test(camera):
        client = await Client.open(camera.url)
        await client.play()
        started = len(camera.ledger.frames)
        while len(camera.ledger.frames) < started + 75:
            assert (await client.ask("OPTIONS"))[0] == 200
            await asyncio.sleep(0.2)
        assert not client.closed
        assert (await client.ask("GET_PARAMETER"))[0] == 405
        await until(lambda: client.closed)
        await client.close()

    with_camera(test, quirks="keepalive_options_only=2")


def test_foreign_channels_and_garbage():
    async def test(camera):
        client = await Client.open(camera.url)
        assert "interleaved=20-21" in await client.play()
        await client.packets(60, channel=20)
        assert {channel for channel, _ in client.frames} == {20, 21}
        assert client.garbage >= 60
        await client.close()

    with_camera(test, quirks="foreign_channels, garbage_between_frames")


def test_no_sender_reports():
    async def test(camera):
        client = await Client.open(camera.url)
        await client.play()
        await client.packets(30)
        assert client.on(1) == []
        await client.close()

    with_camera(test, quirks="no_sender_reports")


def test_burst_on_connect_begins_in_the_past():
    async def test(camera):
        await until(lambda: len(camera.ledger.frames) > 45)
        client = await Client.open(camera.url)
        await client.play()
        at_play = camera.ledger.frames[-1].frame
        await client.packets(40)
        assert stamps(client.on(0))[0] <= at_play - 25
        await client.close()

    with_camera(test, quirks="burst_on_connect=1")


def test_bursts_send_frames_in_lots():
    async def test(camera):
        client = await Client.open(camera.url)
        await client.play()
        seen = set()
        while len(seen) < 3:
            seen.add(len(timestamps(client.on(0))))
            await asyncio.sleep(0.005)
        assert all(count % 10 == 0 for count in seen)
        await client.close()

    with_camera(test, quirks="bursts=10")


def test_stall_silence_and_speech():
    async def test(camera):
        client = await Client.open(camera.url)
        await client.play()
        await client.packets(5)
        camera.silence()
        unsent = camera.ledger.frames[-1].frame
        await until(lambda: camera.ledger.frames[-1].frame > unsent + 20)
        assert not client.closed
        assert all(entry.sessions == 0 for entry in list(camera.ledger.frames)[-18:])
        before = len(client.on(0))
        camera.speak()
        await client.packets(before + 5)
        camera.stall(1.0)
        frame = camera.ledger.frames[-1].frame
        await until(lambda: camera.ledger.frames[-1].sessions and camera.ledger.frames[-1].frame > frame + 15)
        numbers = stamps(client.on(0))
        assert max(b - a for a, b in pairwise(numbers)) > 15
        await client.close()

    with_camera(test)


def test_reboot_cuts_refuses_and_returns_with_a_keyframe():
    async def test(camera):
        client = await Client.open(camera.url)
        await client.play()
        await client.packets(5)
        camera.reboot(1.0)
        await until(lambda: client.closed)
        with pytest.raises(OSError):
            await Client.open(camera.url)
        last = camera.ledger.frames[-1].frame
        await until(lambda: camera.ledger.frames[-1].frame > last)
        again = await Client.open(camera.url)
        await again.play()
        await again.packets(5)
        first = next(entry for entry in camera.ledger.frames if entry.frame == last + 1)
        assert first.keyframe
        for one in (client, again):
            await one.close()

    with_camera(test)


def test_freeze_and_drop_clients():
    async def test(camera):
        client = await Client.open(camera.url)
        await client.play()
        camera.freeze()
        await client.packets(30)
        assert camera.ledger.frames[-1].keyframe  # a prepared camera repeats its one picture
        camera.show("scene")
        frame = camera.ledger.frames[-1].frame
        await until(lambda: camera.ledger.frames[-1].frame > frame + 3)
        assert not all(entry.keyframe for entry in list(camera.ledger.frames)[-3:])
        camera.drop_clients()
        await until(lambda: client.closed)
        await client.close()

    with_camera(test)


def test_scripted_stall_and_reboot():
    async def test(camera):
        client = await Client.open(camera.url)
        await client.play()
        await until(lambda: client.closed)
        await until(lambda: camera.ledger.frames[-1].frame > 30)
        await client.close()
        assert [entry.frame for entry in camera.ledger.frames if not entry.sessions]

    with_camera(test, quirks="stall=1@0.5, reboot=0.5@1")


def test_a_slow_client_loses_pictures_up_to_a_keyframe_and_holds_up_nobody():
    async def test(camera):
        host, port = "127.0.0.1", camera.port
        _, writer = await asyncio.open_connection(host, port, limit=1 << 10)
        url = camera.url
        writer.write(
            f"SETUP {url}/trackID=0 RTSP/1.0\r\nCSeq: 1\r\nTransport: RTP/AVP/TCP;interleaved=0-1\r\n\r\n"
            f"PLAY {url} RTSP/1.0\r\nCSeq: 2\r\n\r\n".encode()
        )
        await until(lambda: any(entry.dropped for entry in camera.ledger.frames), 30)
        client = await Client.open(url)
        await client.play()
        await client.packets(200)
        assert [entry for entry in camera.ledger.frames if entry.sessions and entry.dropped]
        await client.close()
        writer.transport.abort()

    with_camera(test, bitrate=40_000_000)


def test_rubbish_ends_only_its_own_connection():
    async def test(camera):
        client = await Client.open(camera.url)
        await client.play()
        bad = await Client.open(camera.url)
        bad.writer.write(b"\0" * 3_000_000)
        await until(lambda: bad.closed)
        await client.packets(20)
        assert not client.closed
        for one in (client, bad):
            await one.close()

    with_camera(test)


def test_udp():
    class Sink(asyncio.DatagramProtocol):
        def __init__(self):
            self.packets = []

        def datagram_received(self, data, address):
            self.packets.append((data, address))

    async def test(camera):
        loop = asyncio.get_running_loop()
        (rtp, rtp_sink), (rtcp, rtcp_sink) = [
            await loop.create_datagram_endpoint(Sink, ("127.0.0.1", 0)) for _ in range(2)
        ]
        ports = [socket.get_extra_info("sockname")[1] for socket in (rtp, rtcp)]
        client = await Client.open(camera.url)
        transport = await client.play(f"RTP/AVP;unicast;client_port={ports[0]}-{ports[1]}")
        server = [int(port) for port in re.search(r"server_port=(\d+)-(\d+)", transport).groups()]
        assert server[0] % 2 == 0
        assert server[1] == server[0] + 1
        await until(lambda: len(rtp_sink.packets) > 30 and rtcp_sink.packets)
        assert {address[1] for _, address in rtp_sink.packets} == {server[0]}
        assert {address[1] for _, address in rtcp_sink.packets} == {server[1]}
        assert client.frames == []
        await client.close()
        rtp.close()
        rtcp.close()

    with_camera(test)


def replay_units(count):
    return [
        ReplayUnit(join_sample([b"\x65" + bytes([n % 256]) * (2000 + n)]), n * 3000, keyframe=n % 10 == 0)
        for n in range(count)
    ]


@pytest.mark.parametrize("speed", [0, 5.0])
def test_replay_is_the_same_for_each_client_and_ends(speed):
    async def run():
        camera = ReplayCamera(
            CameraSpec(9, width=128, height=96), replay_units(60), (b"\x67\x42\xc0\x16", b"\x68"), speed=speed
        )
        await camera.start()
        try:
            got = []
            for _ in range(2):
                client = await Client.open(camera.url)
                await client.play()
                await until(lambda client=client: client.closed, 20)
                first = timestamps(client.on(0))[0]
                got.append(
                    [
                        (int.from_bytes(p[4:8], "big") - first & 0xFFFFFFFF, p[1] & 0x80, p[12:])
                        for p in client.on(0)
                    ]
                )
                assert client.on(1)[-1][8:10] == b"\x81\xcb"
                await client.close()
            assert got[0] == got[1]
            assert {ticks for ticks, _, _ in got[0]} == {n * 3000 for n in range(60)}
            assert [entry.frame for entry in camera.ledger.frames] == list(range(60)) * 2
        finally:
            await camera.stop()

    asyncio.run(run())


def test_replay_stops_when_the_client_goes():
    async def run():
        camera = ReplayCamera(CameraSpec(9), replay_units(3000), (b"\x67\x42\xc0\x16", b"\x68"))
        await camera.start()
        client = await Client.open(camera.url)
        await client.play()
        await client.packets(5)
        await client.close()
        await until(lambda: camera.sessions == 0)
        entries = len(camera.ledger.frames)
        client = await Client.open(camera.url)
        await client.play()
        await client.packets(5)
        await camera.stop()
        assert entries < 3000

    asyncio.run(run())


def test_fleet_refuses_what_it_cannot_do():
    async def run():
        with pytest.raises(ValueError, match="one number"):
            await Fleet.open([spec(1), spec(1)])
        fleet = await Fleet.open([spec(1), spec(2)])
        for command in (
            7,
            {},
            {"do": []},
            {"do": "nosuch"},
            {"do": "stall", "camera": 9},
            {"do": "stall", "seconds": "1"},
            {"do": "show", "what": "cat"},
        ):
            with pytest.raises(ValueError, match=r"command|camera|seconds|what"):
                fleet.obey(command)
        status = fleet.obey({"do": "status"})["cameras"]
        assert [camera["number"] for camera in status] == [1, 2]
        await fleet.close()

    asyncio.run(run())


def test_a_process_of_cameras_obeys_and_leaves_its_ledgers(tmp_path):
    with CameraProcess([spec(1, username="u", password="geheim"), spec(2)], tmp_path) as cameras:
        with open(f"/proc/{cameras.pid}/cmdline", "rb") as file:
            assert b"geheim" not in file.read()
        assert sorted(cameras.urls) == [1, 2]

        async def watch():
            client = await Client.open(cameras.urls[2])
            await client.play()
            await client.packets(20)
            await client.close()

        asyncio.run(watch())
        assert cameras.command("stall", camera=1, seconds=1) == {"event": "done"}
        with pytest.raises(RuntimeError, match="no such command"):
            cameras.command("dance")
        assert cameras.command("status", camera=2)["cameras"][0]["requests"] == 2
    cameras.stop()
    with pytest.raises(RuntimeError, match="not running"):
        cameras.command("status")
    assert [entry.method for entry in read_requests(tmp_path / "cam02.requests.jsonl")] == ["SETUP", "PLAY"]
    frames = read_frames(tmp_path / "cam02.frames.jsonl")
    assert [entry.frame for entry in frames] == list(range(len(frames)))
    assert sum(entry.sessions for entry in frames) >= 8


def test_a_process_that_cannot_start_says_why(capfd):
    with pytest.raises(RuntimeError, match="one number"), CameraProcess([spec(1), spec(1)]):
        pass


def test_command_line_makes_cameras_alike():
    arguments = parser().parse_args(
        ["--cameras", "3", "--size", "320x240", "--port", "9000", "--quirks", "no_marker"]
    )
    specs = specs_from(arguments)
    assert [(s.number, s.port, s.width, s.quirks) for s in specs] == [
        (n, 8999 + n, 320, "no_marker") for n in (1, 2, 3)
    ]
    assert "timestamp_jump" in parser().format_help()
