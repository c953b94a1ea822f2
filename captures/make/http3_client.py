"""Fetch one page by HTTP/3 with aioquic: `python http3_client.py CA.pem HOST PATH`."""

import asyncio
import ssl
import sys

from aioquic.asyncio import QuicConnectionProtocol, connect
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import QuicEvent


class Client(QuicConnectionProtocol):
    def fetch(self, host: str, path: str) -> asyncio.Future[int]:
        """Send the request; the result is the number of bytes of the page."""
        self.http = H3Connection(self._quic)
        self.got, self.done = 0, asyncio.get_running_loop().create_future()
        stream = self._quic.get_next_available_stream_id()
        fields = {":method": "GET", ":scheme": "https", ":authority": host, ":path": path}
        self.http.send_headers(stream, [(k.encode(), v.encode()) for k, v in fields.items()], end_stream=True)
        self.transmit()
        return self.done

    def quic_event_received(self, event: QuicEvent) -> None:
        for seen in self.http.handle_event(event) if hasattr(self, "http") else ():
            if isinstance(seen, DataReceived):
                self.got += len(seen.data)
            if isinstance(seen, HeadersReceived | DataReceived) and seen.stream_ended and not self.done.done():
                self.done.set_result(self.got)


async def main(ca: str, host: str, path: str) -> None:
    settings = QuicConfiguration(alpn_protocols=H3_ALPN, verify_mode=ssl.CERT_REQUIRED)
    settings.load_verify_locations(ca)
    async with connect(host, 443, configuration=settings, create_protocol=Client) as client:
        assert isinstance(client, Client)
        print(await asyncio.wait_for(client.fetch(host, path), 10))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4]))
