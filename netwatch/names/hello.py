"""The ClientHello message of TLS, DTLS and QUIC, and its JA4 fingerprint."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from hashlib import sha256
from struct import Struct, pack, unpack_from
from typing import Final, TypeVar

from netwatch.model.limits import HELLO_EXTENSIONS
from netwatch.model.reading import Hello
from netwatch.names.cursor import Cursor

CLIENT_HELLO: Final = 1
SERVER_NAME, SIGNATURE_ALGORITHMS, ALPN, SUPPORTED_VERSIONS = 0x0000, 0x000D, 0x0010, 0x002B
ENCRYPTED_CLIENT_HELLO: Final = 0xFE0D  # RFC 9849
HOST_NAME: Final = 0

VERSIONS: Final = {
    0x0304: "1.3",
    0x0303: "1.2",
    0x0302: "1.1",
    0x0301: "1.0",
    0x0300: "ssl3",
    0x0002: "ssl2",
    0xFEFC: "1.3",
    0xFEFD: "1.2",
    0xFEFF: "1.0",
}
_JA4_VERSIONS: Final = {
    0x0304: "13",
    0x0303: "12",
    0x0302: "11",
    0x0301: "10",
    0x0300: "s3",
    0x0002: "s2",
    0xFEFC: "d3",
    0xFEFD: "d2",
    0xFEFF: "d1",
}
GREASE: Final = frozenset(digit << 12 | digit << 4 | 0x0A0A for digit in range(16))  # RFC 8701
DTLS, DRAFTS_OF_13 = 0xFE, 0x7F  # first bytes of versions
_READ: Final = GREASE | {SERVER_NAME, ALPN, SUPPORTED_VERSIONS, SIGNATURE_ALGORITHMS, ENCRYPTED_CLIENT_HELLO}
_COUNTS: Final = tuple(f"{count:02}" for count in range(100))
_NOTHING: Final = "000000000000"
_START: Final = Struct(">H32xB")  # legacy_version, random, length of legacy_session_id
_ONE_NAME: Final = Struct(">HBH")  # length of the list, type and length of its first name
_USUAL: Final = 128  # bytes of a list that is remembered, so that the memory of them has a bound
_USUAL_TYPES: Final = 48

T = TypeVar("T")


def _remembered(read: Callable[[bytes], T]) -> Callable[[bytes], T]:
    """Read each list of usual length once: clients of one kind send the same ones in every hello."""
    once = lru_cache(maxsize=512)(read)

    def recall(raw: bytes) -> T:
        return once(raw) if len(raw) <= _USUAL else read(raw)

    return recall


def parse_client_hello(body: Cursor, transport: str) -> Hello:
    """Read a ClientHello (RFC 8446 section 4.1.2, RFC 9147 section 5.3).

    body: the message behind its handshake header, whole.   transport: t for TLS, d for DTLS, q for QUIC.
    Raises ParseError: truncated, tls_extensions, step_budget_spent.
    """
    legacy, session = body.unpack(_START)
    body.skip(session)
    if transport == "d":
        body.bytes_block(1)
    ciphers = _ciphers(body.bytes_block(2))
    body.bytes_block(1)
    server_name: bytes | None = None
    alpn: tuple[bytes, ...] = ()
    ends = _alpn_ends(())
    versions: tuple[str | None, int] | None = None
    signatures = b""
    named = ech = False
    extensions = body.block(2) if body.left else body
    hashed, read = extensions.sorted_out(HELLO_EXTENSIONS, "tls_extensions", _READ)
    count = len(hashed)
    for kind, start, end in read:
        if kind == SERVER_NAME:
            count += 1
            if not named:
                named = True
                server_name = _only_name(extensions, start, end) or parse_server_name(extensions.within(start, end))
        elif kind == ALPN:
            count += 1
            if not alpn:
                alpn, ends = _offered(extensions.part(start, end))
                extensions.step(len(alpn))
        elif kind not in GREASE:
            count += 1
            hashed.append(kind)
            if kind == SUPPORTED_VERSIONS:
                versions = _versions(extensions.part(start, end))
            elif kind == SIGNATURE_ALGORITHMS:
                signatures = _listed(extensions, start, end)
            else:
                ech = True
    word, version = versions or _versions_of([legacy])
    hashed.sort()
    ja4 = _joined(transport, version, named, ciphers, count, ends, _extensions(tuple(hashed), signatures))
    return tuple.__new__(Hello, (server_name, alpn, word, ja4, ech))


def _listed(extensions: Cursor, start: int, end: int) -> bytes:
    """Return what stands behind a length of two bytes. Raises ParseError: truncated."""
    raw = extensions.part(start, end)
    if len(raw) > 1 and raw[0] << 8 | raw[1] == len(raw) - 2:  # as usual
        return raw[2:]
    return extensions.within(start, end).bytes_block(2)


def _only_name(extensions: Cursor, start: int, end: int) -> bytes | None:
    """Return the host_name that fills server_name alone, as usual, else None. Raises ParseError: step_budget_spent."""
    size = end - start - _ONE_NAME.size
    if size > 0 and _ONE_NAME.unpack_from(extensions.data, start) == (size + 3, HOST_NAME, size):
        extensions.step()
        return extensions.part(end - size, end)
    return None


def parse_server_name(extension: Cursor) -> bytes | None:
    """Return the first host_name that is not empty, None when the list has none (RFC 6066 section 3).

    Raises ParseError: truncated, step_budget_spent.
    """
    if not extension.left:
        return None
    names = extension.block(2)
    while names.left:
        names.step()
        kind, name = names.uint(1), names.bytes_block(2)
        if kind == HOST_NAME and name:
            return name
        names.note("tls_server_name_empty" if kind == HOST_NAME else "tls_server_name_type")
    return None


@_remembered
def _offered(extension: bytes) -> tuple[tuple[bytes, ...], str]:
    """Return the protocols offered (RFC 7301 section 3.1), and JA4's letters for them.

    Raises ParseError: truncated, step_budget_spent.
    """
    value = Cursor.over(extension)
    protocols = tuple(value.block(2).strings()) if extension else ()
    return protocols, _alpn_ends(protocols)


def _numbers(raw: bytes) -> list[int]:
    """Return the 16-bit numbers of a list without GREASE; an odd last byte is left out."""
    return [number for number in unpack_from(f">{len(raw) // 2}H", raw) if number not in GREASE]


@_remembered
def _ciphers(raw: bytes) -> tuple[str, str]:
    """Return JA4's two digits of how many there are, and its hash of them."""
    return _counted(_numbers(raw))


def _counted(ciphers: list[int]) -> tuple[str, str]:
    return f"{min(len(ciphers), 99):02}", _hash(_digits(sorted(ciphers)))


@_remembered
def _versions(extension: bytes) -> tuple[str | None, int]:
    return _versions_of(_numbers(Cursor.over(extension).bytes_block(1)))


def _versions_of(versions: list[int]) -> tuple[str | None, int]:
    """Return the word and the number of the highest version."""
    return _version(versions), _highest(versions)


def _version(versions: list[int]) -> str | None:
    best: str | None = None
    for version in versions:
        word = "1.3" if version >> 8 == DRAFTS_OF_13 else VERSIONS.get(version)
        if word is not None and (best is None or _AGE[word] > _AGE[best]):
            best = word
    return best


_AGE: Final = {word: age for age, word in enumerate(("ssl2", "ssl3", "1.0", "1.1", "1.2", "1.3"))}


def _highest(versions: list[int]) -> int:
    """Return the highest version, 0 for none; in DTLS a lower number is a higher version."""
    if not versions:
        return 0
    return min(versions) if versions[0] >> 8 == DTLS else max(versions)


def fingerprint(
    transport: str,
    version: int,
    named: bool,
    ciphers: list[int],
    types: list[int],
    alpn: list[bytes],
    signatures: list[int],
) -> str:
    """Return JA4 of values in the order of the hello, without GREASE but for types (FoxIO, JA4: TLS client)."""
    kept = [kind for kind in types if kind not in GREASE]
    hashed = tuple(sorted([kind for kind in kept if kind not in (SERVER_NAME, ALPN)]))
    extensions = _extensions(hashed, pack(f">{len(signatures)}H", *signatures))
    return _joined(transport, version, named, _counted(ciphers), len(kept), _alpn_ends(alpn), extensions)


def _joined(
    transport: str, version: int, named: bool, ciphers: tuple[str, str], count: int, ends: str, extensions: str
) -> str:
    """Return JA4. ciphers: their number and hash.   count: of extensions, whose hash is the last argument."""
    listed, hashed = ciphers
    word, name, extended = _JA4_VERSIONS.get(version, "00"), "d" if named else "i", _COUNTS[min(99, count)]
    return f"{transport}{word}{name}{listed}{extended}{ends}_{hashed}_{extensions}"


def _extensions(types: tuple[int, ...], signatures: bytes) -> str:
    """Return JA4's hash of sorted types and of signature algorithms as they were sent."""
    usual = len(types) <= _USUAL_TYPES and len(signatures) <= _USUAL
    return _extensions_once(types, signatures) if usual else _extensions_hash(types, signatures)


def _extensions_hash(types: tuple[int, ...], signatures: bytes) -> str:
    listed, algorithms = _digits(types), _digits(_numbers(signatures))
    return _hash(f"{listed}_{algorithms}" if listed and algorithms else listed)


_extensions_once = lru_cache(maxsize=512)(_extensions_hash)


def _digits(numbers: Sequence[int]) -> str:
    return pack(f">{len(numbers)}H", *numbers).hex(",", 2)


def _alpn_ends(alpn: Sequence[bytes]) -> str:
    if not alpn or not alpn[0]:
        return "00"
    ends = alpn[0][:1] + alpn[0][-1:]
    if ends.isalnum():
        return ends.decode("ascii")
    digits = alpn[0].hex()
    return digits[0] + digits[-1]


def _hash(text: str) -> str:
    return sha256(text.encode("ascii")).hexdigest()[:12] if text else _NOTHING
