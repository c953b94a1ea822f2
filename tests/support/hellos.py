"""Builders of ClientHellos, QUIC Initials, DNS messages and the like: valid structure in which one length may lie."""

from collections.abc import Iterable, Sequence
from hmac import digest

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

SERVER_NAME, GROUPS, SIGNATURES, ALPN, VERSIONS, KEY_SHARE, ECH = 0, 10, 13, 16, 43, 51, 0xFE0D
TLS12, TLS13, DTLS10, DTLS12, DTLS13 = 0x0303, 0x0304, 0xFEFF, 0xFEFD, 0xFEFC


class Lengths:
    """Writes bytes behind their length; the length field number `at` (from 0) lies by `by`."""

    def __init__(self, at: int = -1, by: int = 0) -> None:
        self.at = at
        self.by = by
        self.count = 0

    def __call__(self, width: int, body: bytes) -> bytes:
        claimed = len(body) + (self.by if self.count == self.at else 0)
        self.count += 1
        return min(max(claimed, 0), 256**width - 1).to_bytes(width, "big") + body


def u16(*numbers: int) -> bytes:
    return b"".join(number.to_bytes(2, "big") for number in numbers)


def extension(kind: int, body: bytes, lengths: Lengths | None = None) -> bytes:
    return u16(kind) + (lengths or Lengths())(2, body)


def server_name(*names: tuple[int, bytes], lengths: Lengths | None = None) -> bytes:
    """The extension_data of server_name: entries of (type, name)."""
    lengths = lengths or Lengths()
    return lengths(2, b"".join(bytes([kind]) + lengths(2, name) for kind, name in names))


def alpn_list(protocols: Iterable[bytes], lengths: Lengths | None = None) -> bytes:
    lengths = lengths or Lengths()
    return lengths(2, b"".join(lengths(1, protocol) for protocol in protocols))


def client_hello(
    name: bytes | None = b"www.example.org",
    *,
    alpn: Sequence[bytes] = (b"h2", b"http/1.1"),
    legacy: int = TLS12,
    versions: Sequence[int] = (TLS13, TLS12),
    ciphers: Sequence[int] = (0x1301, 0x1302),
    signatures: Sequence[int] = (0x0403, 0x0804),
    before: bytes = b"",
    extra: bytes = b"",
    cookie: bytes | None = None,
    lengths: Lengths | None = None,
) -> bytes:
    """A handshake message of type 1 with a 3-byte length (for DTLS: give a cookie and use dtls_record).

    before, extra: whole extensions in front of server_name and at the end.
    """
    lengths = lengths or Lengths()
    extensions = before
    if name is not None:
        extensions += extension(SERVER_NAME, server_name((0, name), lengths=lengths), lengths)
    if alpn:
        extensions += extension(ALPN, alpn_list(alpn, lengths), lengths)
    if versions:
        extensions += extension(VERSIONS, lengths(1, u16(*versions)), lengths)
    if signatures:
        extensions += extension(SIGNATURES, lengths(2, u16(*signatures)), lengths)
    extensions += extra
    body = u16(legacy) + bytes(32) + lengths(1, b"\x11" * 32)
    if cookie is not None:
        body += lengths(1, cookie)
    body += lengths(2, u16(*ciphers)) + lengths(1, b"\0") + lengths(2, extensions)
    return b"\x01" + lengths(3, body)


def records(message: bytes, size: int = 16_384, kind: int = 22) -> bytes:
    """TLS records of at most `size` bytes each."""
    parts = [message[at : at + size] for at in range(0, len(message), size)]
    return b"".join(bytes([kind, 3, 1]) + len(part).to_bytes(2, "big") + part for part in parts)


def server_hello(version: int = TLS12) -> bytes:
    extra = extension(VERSIONS, u16(version)) if version == TLS13 else b""
    body = u16(TLS12) + bytes(32) + b"\0" + u16(0xC02F) + b"\0" + (Lengths()(2, extra) if extra else b"")
    return b"\x02" + Lengths()(3, body)


def certificate_message(*certificates: bytes, lengths: Lengths | None = None) -> bytes:
    """A Certificate message of TLS <= 1.2."""
    lengths = lengths or Lengths()
    return b"\x0b" + lengths(3, lengths(3, b"".join(lengths(3, der) for der in certificates)))


def self_signed(common_name: str, dns_names: Sequence[str] = ()) -> bytes:
    """A DER certificate made on the spot."""
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding

    key = ec.derive_private_key(0x1234567, ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)])
    start = datetime(2026, 1, 1, tzinfo=UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 7, start, start + timedelta(days=9))
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    if dns_names:
        alternatives = x509.SubjectAlternativeName([x509.DNSName(one) for one in dns_names])
        builder = builder.add_extension(alternatives, critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def dtls_records(
    message: bytes, sizes: Sequence[int] = (), sequence: int = 0, lengths: Lengths | None = None
) -> list[bytes]:
    """DTLS records, one for each fragment; the sizes of all fragments but the last are given."""
    lengths = lengths or Lengths()
    body = message[4:]
    out, at = [], 0
    for number, size in enumerate((*sizes, len(body))):
        part = body[at : at + size]
        head = message[:1] + len(body).to_bytes(3, "big") + u16(sequence) + at.to_bytes(3, "big")
        out.append(b"\x16\xfe\xfd" + bytes(7) + bytes([number]) + lengths(2, head + lengths(3, part)))
        at += size
    return [one for one in out if len(one) > 25 or not body]


def varint(number: int) -> bytes:
    for bits, prefix in ((6, 0), (14, 1), (30, 2), (62, 3)):
        if number < 1 << bits:
            return (number | prefix << bits).to_bytes((bits + 2) // 8, "big")
    raise ValueError(number)


def crypto(offset: int, data: bytes, *, kind: int = 6, lie: int = 0) -> bytes:
    """A CRYPTO frame."""
    return bytes([kind]) + varint(offset) + varint(max(0, len(data) + lie)) + data


V1_SALT = bytes.fromhex("38762cf7f55934b34d179ae6a4c80cadccbb7f0a")
V2_SALT = bytes.fromhex("0dede3def700a6db819381be6e269dcbf9bd2ed9")
V2 = 0x6B3343CF


def expand(secret: bytes, label: bytes, size: int) -> bytes:
    info = size.to_bytes(2, "big") + bytes([len(label) + 6]) + b"tls13 " + label + b"\0"
    return digest(secret, info + b"\x01", "sha256")[:size]


def initial(
    frames: bytes,
    *,
    dcid: bytes = bytes.fromhex("8394c8f03e515708"),
    number: int = 0,
    number_size: int = 4,
    version: int = 1,
    salt: bytes | None = None,
    keys_of: bytes | None = None,
    size: int = 1_162,
    token: bytes = b"",
    sender: bytes = b"client in",
) -> bytes:
    """One protected Initial packet (RFC 9001 section 5), padded to `size` bytes of frames.

    keys_of: the destination id that the keys come from, where it is another one.
    """
    prefix = b"quicv2 " if version == V2 else b"quic "
    salt = salt or (V2_SALT if version == V2 else V1_SALT)
    secret = expand(digest(salt, dcid if keys_of is None else keys_of, "sha256"), sender, 32)
    key, iv, hp = (expand(secret, prefix + part, length) for part, length in ((b"key", 16), (b"iv", 12), (b"hp", 16)))
    plain = frames.ljust(size, b"\0")
    first = 0xC0 | (0x10 if version == V2 else 0) | number_size - 1
    head = bytes([first]) + version.to_bytes(4, "big") + bytes([len(dcid)]) + dcid + b"\0" + varint(len(token)) + token
    head += (0x4000 | len(plain) + 16 + number_size).to_bytes(2, "big") + number.to_bytes(number_size, "big")
    nonce = (int.from_bytes(iv, "big") ^ number).to_bytes(12, "big")
    sealed = AESGCM(key).encrypt(nonce, plain, head)
    sample = sealed[4 - number_size : 20 - number_size]
    mask = Cipher(algorithms.AES(hp), modes.ECB()).encryptor().update(sample)
    masked = bytes(byte ^ part for byte, part in zip(head[-number_size:], mask[1:], strict=False))
    return bytes([head[0] ^ mask[0] & 0x0F]) + head[1:-number_size] + masked + sealed


def chlo(tags: Sequence[tuple[bytes, bytes]]) -> bytes:
    """A CHLO of gQUIC."""
    heads, end = b"", 0
    for tag, value in tags:
        end += len(value)
        heads += tag + end.to_bytes(4, "little")
    values = b"".join(value for _, value in tags)
    return b"CHLO" + len(tags).to_bytes(2, "little") + b"\0\0" + heads + values


def dns_name(*labels: bytes, lengths: Lengths | None = None) -> bytes:
    lengths = lengths or Lengths()
    return b"".join(lengths(1, label) for label in labels) + b"\0"


def pointer(offset: int) -> bytes:
    return u16(0xC000 | offset)


def record(
    name: bytes, kind: int, data: bytes, *, ttl: int = 60, family: int = 1, lengths: Lengths | None = None
) -> bytes:
    return name + u16(kind, family) + ttl.to_bytes(4, "big") + (lengths or Lengths())(2, data)


def dns_message(
    questions: Sequence[tuple[bytes, int]] = (),
    answers: Sequence[bytes] = (),
    *,
    flags: int = 0x8180,
    ident: int = 0x1234,
    counts: Sequence[int] | None = None,
) -> bytes:
    """A message; counts are those of the sections unless given."""
    counts = counts or (len(questions), len(answers), 0, 0)
    asked = b"".join(name + u16(kind, 1) for name, kind in questions)
    return u16(ident, flags, *counts) + asked + b"".join(answers)


def dhcp(options: bytes, *, op: int = 1, mac: bytes = b"\x02\0\0\0\0\x01", given: bytes = bytes(4)) -> bytes:
    head = bytes([op, 1, 6, 0]) + bytes(8) + bytes(4) + given + bytes(8) + mac + bytes(10) + bytes(192)
    return head + bytes.fromhex("63825363") + options
