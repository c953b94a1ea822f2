"""HTTP/1: the host that a request names (RFC 9112). HTTP/2 in clear text is handed on."""

import re
from typing import Final

from netwatch.model.errors import ParseError
from netwatch.model.limits import HTTP_HEAD, STRING_MAX
from netwatch.model.reading import Reading
from netwatch.model.text import wire_text
from netwatch.names.http2 import PREFACE, Http2Side
from netwatch.names.reassembly import Assembler
from netwatch.names.talk import Ports, StreamProtocol, Talk

METHODS: Final = tuple(
    method.encode() + b" "
    for method in (
        *("GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "CONNECT", "PATCH", "TRACE", "PROPFIND", "PROPPATCH"),
        *("MKCOL", "COPY", "MOVE", "LOCK", "UNLOCK", "REPORT", "SEARCH", "MERGE", "PURGE", "SUBSCRIBE", "UNSUBSCRIBE"),
        *("NOTIFY", "M-SEARCH", "RPC_IN_DATA", "RPC_OUT_DATA", "CCM_POST", "BITS_POST", "MKACTIVITY", "CHECKOUT"),
        *("SOURCE", "MKCALENDAR", "QUERY"),
    )
)
RESPONSE: Final = b"HTTP/1."
_STARTS: Final = (*METHODS, RESPONSE, PREFACE)
_LONGEST: Final = max(map(len, _STARTS))


def starts(head: bytes, _ports: Ports) -> bool | None:
    """Tell by the method, or the version of a response."""
    if head.startswith(_STARTS):
        return True
    if any(word.startswith(head) for word in _STARTS):
        return None
    return False


_HOST_OR_END: Final = re.compile(rb"\n(?:host:([^\n]*)\n|\r?\n)", re.IGNORECASE)


class _Head:
    """The head of one request; target is that of the request line."""

    __slots__ = ("_at", "_seen", "done", "host", "target", "tunnel")

    def __init__(self) -> None:
        self._at = 0  # end of the last line that is whole
        self._seen = 0  # no line ends between there and here
        self.target: bytes | None = None
        self.host: bytes | None = None
        self.tunnel = False  # CONNECT: a hello may follow
        self.done = False

    def read(self, data: bytes | bytearray) -> bool:
        """Read whole lines up to the host; return whether nothing more is wanted.

        Raises ParseError: http_request_line, http_head_too_long.
        """
        last = data.rfind(b"\n", self._seen, HTTP_HEAD)
        self._seen = len(data)
        if last >= 0:
            if self.target is None:
                self._at = data.find(b"\n")
                self._request_line(bytes(data[: self._at]))
            found = _HOST_OR_END.search(data, self._at, HTTP_HEAD)
            if found is not None:
                self.host = found[1].strip(b" \t\r") if found[1] is not None else self.host
                self.done = True
                return True
            self._at = last
        if len(data) >= HTTP_HEAD:
            raise ParseError("http_head_too_long", self._at)
        return False

    def _request_line(self, line: bytes) -> None:
        words = line.removesuffix(b"\r").split(b" ", 2)
        if len(words) < 2:
            raise ParseError("http_request_line")
        self.target = words[1][:STRING_MAX]
        if words[0] == b"CONNECT":
            self.tunnel = True
            self.host = self.target

    def protocol(self) -> str:
        """Return mmtls for WeChat's own protocol inside of requests, else http."""
        return "mmtls" if self.target is not None and self.target.startswith(b"/mmtls/") else "http"

    def name(self) -> bytes:
        """Return the host without the port: of the header, else of the target (RFC 9112 section 3.2)."""
        host = self.host
        if not host and self.target is not None and b"://" in self.target:
            host = self.target.split(b"://", 1)[1].split(b"/", 1)[0].rsplit(b"@", 1)[-1]
        return without_port(host or b"")


def without_port(authority: bytes) -> bytes:
    """Cut `:8080` away, not the last group of `[2001:db8::1]`."""
    head, colon, port = authority.rpartition(b":")
    return head if colon and port.isdigit() and (b":" not in head or head.endswith(b"]")) else authority


class _HttpTalk:
    """Waits for the first request's host; http2 reads the streams that begin with its preface."""

    __slots__ = ("_heads", "_http2", "protocol")

    def __init__(self) -> None:
        self.protocol = "http"
        self._heads = (_Head(), _Head())
        self._http2: dict[int, Http2Side] = {}

    @property
    def size(self) -> int:
        return 1_024 + sum(side.size for side in self._http2.values())

    def feed(self, side: int, pieces: Assembler, ports: Ports) -> Reading | None:
        """Raises ParseError: http_*, http2_*, truncated."""
        data = pieces.data
        if data.startswith(PREFACE[: len(data)]):
            return self._feed_http2(side, pieces)
        if data.startswith(RESPONSE):
            return Reading(self.protocol, from_client=False)
        head = self._heads[side]
        if head.done or starts(bytes(data[:_LONGEST]), ports) is False:
            return None
        if not head.read(data):
            return Reading(self.protocol, from_client=True, more=True)
        self.protocol = head.protocol()
        reading = request_reading(head.name(), self.protocol)
        return reading._replace(done=not head.tunnel)

    def _feed_http2(self, side: int, pieces: Assembler) -> Reading | None:
        if len(pieces.data) < len(PREFACE):
            return Reading(self.protocol, more=True)
        authority = self._http2.setdefault(side, Http2Side()).read(pieces.data)
        if authority is None:
            return Reading(self.protocol, from_client=True, more=True)
        return request_reading(without_port(authority), self.protocol)


def whole_request(payload: bytes) -> Reading | None:
    """Read a request whose host stands in its first segment, the usual case; None: anything else, CONNECT too."""
    if not payload.startswith(METHODS):
        return None
    head = _Head()
    try:
        whole = head.read(payload)
    except ParseError:  # told by whoever reads it as part of a stream
        return None
    return request_reading(head.name(), head.protocol()) if whole and not head.tunnel else None


def request_reading(host: bytes, protocol: str) -> Reading:
    """Return what a request told."""
    names = (wire_text(host[:STRING_MAX]),) if host else ()
    return Reading(protocol, "http_host" if names else None, names, from_client=True, done=True)


def _talk(_ports: Ports) -> Talk:
    return _HttpTalk()


HTTP: Final = StreamProtocol(starts, _talk, frozenset(word[0] for word in _STARTS))
