"""Protection of QUIC Initial packets (RFC 9001 section 5, RFC 9369 section 3.3)."""

from functools import cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

SAMPLE: Final = 16
_RESERVED: Final = 0x0C  # bits of the first byte that are zero under the protection (RFC 9000 section 17.2)


class QuicVersion(NamedTuple):
    """How a version protects its Initials.

    salt: of the secrets.   key, iv, hp: what HKDF expands the client's secret with.
    initial, retry: long packet types.
    google: one of Google's own, with its own frame types.
    """

    salt: bytes
    key: bytes
    iv: bytes
    hp: bytes
    initial: int
    retry: int
    google: bool = False


_INNER: Final = bytes(byte ^ 0x36 for byte in range(256))  # RFC 2104: each byte of the key with its pad
_OUTER: Final = bytes(byte ^ 0x5C for byte in range(256))


class _Mac:
    """HMAC-SHA-256 (RFC 2104) of messages under one key, whose blocks are hashed once for all of them."""

    __slots__ = ("_inner", "_outer")

    def __init__(self, key: bytes) -> None:
        block = key.ljust(64, b"\0")
        self._inner = sha256(block.translate(_INNER))
        self._outer = sha256(block.translate(_OUTER))

    def __call__(self, message: bytes) -> bytes:
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(message)
        outer.update(inner.digest())
        return outer.digest()


class Keys:
    """What opens a client's Initials: hp its header; key and iv, made at need, what is behind the header."""

    __slots__ = ("_expand", "_mask", "_opener", "_version", "hp")

    def __init__(self, version: QuicVersion, expand: _Mac) -> None:
        self._version = version
        self._expand = expand
        self._opener: tuple[Any, int] | None = None
        self._mask: Callable[[bytes], bytes] | None = None
        self.hp = expand(version.hp)[:16]

    @property
    def key(self) -> bytes:
        return self._expand(self._version.key)[:16]

    @property
    def iv(self) -> int:
        return int.from_bytes(self._expand(self._version.iv)[:12], "big")

    def mask(self, sample: bytes, block_cipher: "Callable[[bytes], Callable[[bytes], bytes]]") -> bytes:
        """Return what hides a header, of the sample of its packet."""
        if self._mask is None:
            self._mask = block_cipher(self.hp)
        return self._mask(sample)

    def opener(self, gcm: type[Any]) -> tuple[Any, int]:
        """Return the cipher, and the number that with a packet's makes its nonce."""
        if self._opener is None:
            self._opener = gcm(self.key), self.iv
        return self._opener


def _info(label: bytes, size: int) -> bytes:
    """Return what HKDF-Expand-Label hashes without a context (RFC 8446 section 7.1), for up to 32 bytes."""
    label = b"tls13 " + label
    return bytes((0, size, len(label))) + label + b"\0\x01"


def _version(salt: str, prefix: bytes = b"quic ", initial: int = 0, retry: int = 3) -> QuicVersion:
    key, iv, hp = _info(prefix + b"key", 16), _info(prefix + b"iv", 12), _info(prefix + b"hp", 16)
    return QuicVersion(bytes.fromhex(salt), key, iv, hp, initial, retry)


_CLIENT: Final = _info(b"client in", 32)
_V1: Final = _version("38762cf7f55934b34d179ae6a4c80cadccbb7f0a")  # drafts 33 and 34 too
_DRAFT_22: Final = _version("7fbcdb0e7c66bbe9193a96cd21519ebd7a02644a")
_DRAFT_23: Final = _version("c3eef712c72ebb5a11a7d2432bb46365bef9f502")
_DRAFT_29: Final = _version("afbfec289993d24c9e9786f19c6111e04390a899")
_V2: Final = _version("0dede3def700a6db819381be6e269dcbf9bd2ed9", b"quicv2 ", initial=1, retry=0)

VERSIONS: Final[dict[int, QuicVersion]] = {
    0x0000_0001: _V1,
    0x6B33_43CF: _V2,
    0xFF00_0016: _DRAFT_22,
    **{0xFF00_0000 | draft: _DRAFT_23 for draft in range(23, 29)},
    **{0xFF00_0000 | draft: _DRAFT_29 for draft in range(29, 33)},
    **{0xFF00_0000 | draft: _V1 for draft in (33, 34)},
    0xFACE_B001: _DRAFT_22,  # mvfst
    0xFACE_B002: _DRAFT_23,
    0xFACE_B00E: _DRAFT_23,
    0x5130_3530: _version("504574efd066fe2f9d945cfcdbd3a7f0d3b56b45")._replace(google=True),  # Q050
    0x5430_3530: _version("7ff579e5acd072915580304c43a2367c60488310")._replace(google=True),  # T050
    0x5430_3531: _version("7a4edef4e7ccee5fa4506c19124fc8ccda6e033d")._replace(google=True),  # T051
}


def version_of(number: int) -> QuicVersion | None:
    """Return how a version protects its Initials, None where that is not known."""
    return VERSIONS.get(number)


def derive(version: QuicVersion, dcid: bytes) -> Keys | None:
    """Return the client's keys for the destination id of its first Initial, None without `cryptography`."""
    if _cryptography() is None:
        return None
    initial_secret = _extract(version.salt)(dcid)
    return Keys(version, _Mac(_Mac(initial_secret)(_CLIENT)))


_extract = cache(_Mac)  # of a salt: there is one for each version


class _Tools(NamedTuple):
    """What opens packets, from the package cryptography. block_cipher: AES-ECB of a key, block by block."""

    block_cipher: "Callable[[bytes], Callable[[bytes], bytes]]"
    gcm: type[Any]
    invalid: type[Exception]


@cache
def _cryptography() -> _Tools | None:
    """Import it, at the first Initial; None where it is absent."""
    try:
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ImportError:
        return None
    aes, ecb = algorithms.AES, modes.ECB()  # noqa: S305 the mask is of one block (RFC 9001 section 5.4.3)

    def block_cipher(key: bytes) -> "Callable[[bytes], bytes]":
        return Cipher(aes(key), ecb).encryptor().update

    return _Tools(block_cipher, AESGCM, InvalidTag)


def open_initial(keys: Keys, datagram: bytes, start: int, number_at: int, end: int) -> bytes | None:
    """Return the frames of an Initial, None where its tag or reserved bits are wrong or it is too short for one.

    start, number_at, end: where the packet, its packet number and what is behind it stand in the datagram.
    """
    tools = _cryptography()
    if tools is None or end - number_at < 4 + SAMPLE:
        return None
    mask = keys.mask(datagram[number_at + 4 : number_at + 4 + SAMPLE], tools.block_cipher)
    first = datagram[start] ^ (mask[0] & 0x0F)
    if first & _RESERVED:  # three of four packets that are none end here, before the dearer half of the work
        return None
    size = (first & 3) + 1
    sealed_at = number_at + size
    number = int.from_bytes(datagram[number_at:sealed_at], "big") ^ int.from_bytes(mask[1 : 1 + size], "big")
    header = bytes((first,)) + datagram[start + 1 : number_at] + number.to_bytes(size, "big")
    cipher, iv = keys.opener(tools.gcm)
    try:
        plain: bytes = cipher.decrypt((iv ^ number).to_bytes(12, "big"), datagram[sealed_at:end], header)
    except tools.invalid:
        return None
    return plain
