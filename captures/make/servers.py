"""The test servers of the lab: HTTP with DNS over HTTPS behind a TLS front, DNS over TLS, HTTP/3.

Started by lab.py inside the namespace of the servers: `python servers.py CONFIG.json`. It prints `ready` once all of
them listen. Keys of the configuration: http (addresses for port 80), backend (port, on every address), dot (addresses),
h3 (addresses), cert and key (PEM files), resolver (address of a plain DNS server).
"""

import asyncio
import base64
import json
import ssl
import sys
import urllib.parse
from pathlib import Path
from typing import Any

from aioquic.asyncio import QuicConnectionProtocol, serve
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import QuicEvent

FILLER = b"<!doctype html><title>lab</title><p>A page of the capture lab."


def body_for(path: str) -> bytes:
    """Return a page whose length in bytes is the last part of the path (`/feed/8000`), else 2,000."""
    last = path.partition("?")[0].rpartition("/")[2]
    size = int(last) if last.isdecimal() else 2_000
    return (FILLER * (size // len(FILLER) + 1))[:size]


class Ask(asyncio.DatagramProtocol):
    """One question to the plain resolver."""

    def __init__(self, message: bytes, answer: asyncio.Future[bytes]) -> None:
        self.message, self.answer = message, answer

    def connection_made(self, transport: Any) -> None:
        transport.sendto(self.message)

    def datagram_received(self, data: bytes, _: Any) -> None:
        if not self.answer.done():
            self.answer.set_result(data)


async def resolve(message: bytes, resolver: str) -> bytes:
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[bytes] = loop.create_future()
    transport, _ = await loop.create_datagram_endpoint(lambda: Ask(message, answer), remote_addr=(resolver, 53))
    try:
        return await asyncio.wait_for(answer, 3)
    finally:
        transport.close()


async def http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, resolver: str) -> None:
    """HTTP/1.1 with keep-alive; /dns-query is DNS over HTTPS (RFC 8484); /slow/N sends 8 KiB a second."""
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            lines = head.decode("latin-1").split("\r\n")
            method, path, _ = lines[0].split(" ", 2)
            fields = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:])}
            sent = await reader.readexactly(int(fields.get("content-length", 0)))
            if path.startswith("/dns-query"):
                text = urllib.parse.parse_qs(path.partition("?")[2]).get("dns", [""])[0]
                question = sent if method == "POST" else base64.urlsafe_b64decode(text + "==")
                kind, body = "application/dns-message", await resolve(question, resolver)
            else:
                kind, body = "text/html", body_for(path)
            writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode())
            for at in range(0, len(body) if method != "HEAD" else 0, 4096):
                writer.write(body[at : at + 4096])
                await writer.drain()
                await asyncio.sleep(0.5 if path.startswith("/slow/") else 0)
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def dns_over_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, resolver: str) -> None:
    try:
        while True:
            size = int.from_bytes(await reader.readexactly(2), "big")
            answer = await resolve(await reader.readexactly(size), resolver)
            writer.write(len(answer).to_bytes(2, "big") + answer)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


class Http3(QuicConnectionProtocol):
    http: H3Connection | None = None

    def quic_event_received(self, event: QuicEvent) -> None:
        if self.http is None:
            self.http = H3Connection(self._quic)
        for seen in self.http.handle_event(event):
            if isinstance(seen, HeadersReceived) and seen.stream_ended:
                body = body_for(dict(seen.headers).get(b":path", b"/").decode())
                headers = [
                    (b":status", b"200"),
                    (b"content-type", b"text/html"),
                    (b"content-length", b"%d" % len(body)),
                ]
                self.http.send_headers(seen.stream_id, headers)
                self.http.send_data(seen.stream_id, body, end_stream=True)
                self.transmit()


async def main(config: dict[str, Any]) -> None:
    resolver = config["resolver"]
    await asyncio.start_server(lambda r, w: http(r, w, resolver), "0.0.0.0", config["backend"])
    for address in config["http"]:
        await asyncio.start_server(lambda r, w: http(r, w, resolver), address, 80)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(config["cert"], config["key"])
    for address in config["dot"]:
        await asyncio.start_server(lambda r, w: dns_over_tls(r, w, resolver), address, 853, ssl=tls)
    quic = QuicConfiguration(is_client=False, alpn_protocols=H3_ALPN, max_datagram_frame_size=65_536)
    quic.load_cert_chain(config["cert"], config["key"])
    for address in config["h3"]:
        await serve(address, 443, configuration=quic, create_protocol=Http3)
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(json.loads(Path(sys.argv[1]).read_text("utf-8"))))
