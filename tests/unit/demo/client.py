"""A small RTSP client of the tests' own: it keeps every byte the camera sends, by channel."""

import asyncio
import base64
import hashlib
import re


class Client:
    def __init__(self, reader, writer, url):
        self.reader, self.writer, self.url = reader, writer, url
        self.frames = []  # (channel, packet)
        self.garbage = 0
        self.closed = False
        self.session = None
        self._cseq = 0
        self._answers = asyncio.Queue()
        self._buffer = b""
        self._task = asyncio.create_task(self._read())

    @classmethod
    async def open(cls, url):
        host, port = re.match(r"rtsp://([^:/]+):(\d+)", url).groups()
        return cls(*await asyncio.open_connection(host, int(port)), url)

    async def ask(self, method, url=None, **headers):
        self._cseq += 1
        lines = [f"{method} {url or self.url} RTSP/1.0", f"CSeq: {self._cseq}"]
        if self.session:
            lines.append(f"Session: {self.session}")
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.writer.write("\r\n".join([*lines, "", ""]).encode())
        answer = await asyncio.wait_for(self._answers.get(), 10)
        if answer and "session" in answer[1]:
            self.session = answer[1]["session"].split(";")[0]
        return answer

    async def play(self, transport="RTP/AVP/TCP;unicast;interleaved=0-1", track="trackID=0", **headers):
        status, answer, _ = await self.ask("SETUP", f"{self.url}/{track}", Transport=transport, **headers)
        assert status == 200
        assert (await self.ask("PLAY", **headers))[0] == 200
        return answer["transport"]

    async def packets(self, count, channel=0, seconds=15):
        await until(lambda: self.closed or len(self.on(channel)) >= count, seconds)
        return self.on(channel)

    def on(self, channel):
        return [packet for found, packet in self.frames if found == channel]

    async def close(self):
        self._task.cancel()
        self.writer.close()

    async def _read(self):
        try:
            while data := await self.reader.read(1 << 16):
                self._buffer += data
                self._parse()
        except OSError:
            pass
        self.closed = True
        self._answers.put_nowait(None)

    def _parse(self):
        while self._buffer:
            if self._buffer[:1] == b"$":
                size = 4 + int.from_bytes(self._buffer[2:4], "big")
                if len(self._buffer) < max(size, 4):
                    return
                self.frames.append((self._buffer[1], self._buffer[4:size]))
                self._buffer = self._buffer[size:]
            elif self._buffer.startswith(b"RTSP/1.0 "):
                head, end, rest = self._buffer.partition(b"\r\n\r\n")
                if not end:
                    return
                lines = head.decode().split("\r\n")
                headers = {}
                for line in lines[1:]:
                    name, _, value = line.partition(":")
                    headers.setdefault(name.lower(), value.strip())
                length = int(headers.get("content-length", 0))
                if len(rest) < length:
                    return
                self._buffer = rest[length:]
                self._answers.put_nowait((int(lines[0].split()[1]), headers, rest[:length].decode()))
            else:
                self._buffer = self._buffer[1:]
                self.garbage += 1


def digest(challenge, user, password, method, url):
    """Answer a Digest challenge without qop or with qop=auth (RFC 7616), independently of the agent's code."""
    fields = dict(re.findall(r'(\w+)="?([^",]+)"?', challenge))
    algorithm = fields.get("algorithm", "MD5")
    hashed = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}[algorithm]

    def h(text):
        return hashed(text.encode()).hexdigest()

    ha1, ha2 = h(f"{user}:{fields['realm']}:{password}"), h(f"{method}:{url}")
    common = f'Digest username="{user}", realm="{fields["realm"]}", nonce="{fields["nonce"]}", uri="{url}", algorithm={algorithm}'
    if "qop" not in fields:
        return f'{common}, response="{h(":".join((ha1, fields["nonce"], ha2)))}"'
    response = h(":".join((ha1, fields["nonce"], "00000001", "abc", "auth", ha2)))
    return f'{common}, qop=auth, nc=00000001, cnonce="abc", response="{response}"'


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


async def until(condition, seconds=15):
    """Wait for a state; fail when it does not come."""
    end = asyncio.get_running_loop().time() + seconds
    while not condition():
        assert asyncio.get_running_loop().time() < end, "the state did not come"
        await asyncio.sleep(0.01)
