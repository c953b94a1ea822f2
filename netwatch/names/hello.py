"""The ClientHello message of TLS, DTLS and QUIC, and its JA4 fingerprint."""

from functools import lru_cache
from hashlib import sha256
from struct import Struct, pack
from typing import Final

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
_NOTHING: Final = "000000000000"


_START: Final = Struct(">H32xB")  # legacy_version, random, length of legacy_session_id


def parse_client_hello(body: Cursor, transport: str) -> Hello:
    """Read a ClientHello (RFC 8446 section 4.1.2, RFC 9147 section 5.3).

    body: the message behind its handshake header, whole.   transport: t for TLS, d for DTLS, q for QUIC.
    Raises ParseError: truncated, tls_extensions, step_budget_spent.
    """
    legacy, session = body.unpack(_START)
    body.skip(session)
    if transport == "d":
        body.bytes_block(1)
    ciphers = [cipher for cipher in body.numbers(2) if cipher not in GREASE]
    body.bytes_block(1)
    server_name: bytes | None = None
    alpn: list[bytes] = []
    versions = [legacy]
    signatures: list[int] = []
    named = ech = False
    extensions = body.block(2) if body.left else body
    listed = extensions.typed(HELLO_EXTENSIONS, "tls_extensions")
    for kind, start, end in listed:
        if kind not in _READ:
            continue
        value = body.within(start, end)
        if kind == SERVER_NAME and not named:
            named = True
            server_name = parse_server_name(value)
        elif kind == ALPN and not alpn:
            alpn = parse_alpn(value)
        elif kind == SUPPORTED_VERSIONS:
            versions = [version for version in value.numbers(1) if version not in GREASE]
        elif kind == SIGNATURE_ALGORITHMS:
            signatures = [algorithm for algorithm in value.numbers(2) if algorithm not in GREASE]
        elif kind == ENCRYPTED_CLIENT_HELLO:
            ech = True
    types = [kind for kind, _, _ in listed]
    ja4 = fingerprint(transport, _highest(versions), named, ciphers, types, alpn, signatures)
    return Hello(server_name, tuple(alpn), _version(versions), ja4, ech)


_READ: Final = frozenset((SERVER_NAME, ALPN, SUPPORTED_VERSIONS, SIGNATURE_ALGORITHMS, ENCRYPTED_CLIENT_HELLO))


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


def parse_alpn(extension: Cursor) -> list[bytes]:
    """Return the protocols offered (RFC 7301 section 3.1). Raises ParseError: truncated, step_budget_spent."""
    return extension.block(2).strings() if extension.left else []


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
    head = (
        f"{transport}{_JA4_VERSIONS.get(version, '00')}{'d' if named else 'i'}"
        f"{min(len(ciphers), 99):02}{min(len(kept), 99):02}{_alpn_ends(alpn)}"
    )
    listed = _digits(sorted([kind for kind in kept if kind not in (SERVER_NAME, ALPN)]))
    if listed and signatures:
        listed += "_" + _digits(signatures)
    return f"{head}_{_short(_digits(sorted(ciphers)))}_{_short(listed)}"


def _digits(numbers: list[int]) -> str:
    return pack(f">{len(numbers)}H", *numbers).hex(",", 2)


def _alpn_ends(alpn: list[bytes]) -> str:
    if not alpn or not alpn[0]:
        return "00"
    ends = alpn[0][:1] + alpn[0][-1:]
    if ends.isalnum():
        return ends.decode("ascii")
    digits = alpn[0].hex()
    return digits[0] + digits[-1]


def _hash(text: str) -> str:
    return sha256(text.encode("ascii")).hexdigest()[:12] if text else _NOTHING


_USUAL: Final = 512
_remembered = lru_cache(maxsize=1_024)(_hash)


def _short(text: str) -> str:
    """Hash a list; clients repeat theirs, so those of usual length are remembered."""
    return _remembered(text) if len(text) <= _USUAL else _hash(text)
