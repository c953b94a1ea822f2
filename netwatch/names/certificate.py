"""Names in an X.509 certificate (RFC 5280), by a bounded walk over its DER."""

from typing import Final

from netwatch.model.errors import ParseError
from netwatch.model.limits import CERTIFICATE_NAMES, STRING_MAX
from netwatch.names.cursor import Cursor

SEQUENCE, SET, OID, OCTETS, CONTEXT_0, CONTEXT_3, DNS_NAME = 0x30, 0x31, 0x06, 0x04, 0xA0, 0xA3, 0x82
SUBJECT_ALT_NAME: Final = bytes.fromhex("551d11")
COMMON_NAME: Final = bytes.fromhex("550403")


def parse_certificate_message(body: Cursor) -> list[bytes]:
    """Return the names of the first certificate of a TLS <= 1.2 Certificate message (RFC 5246 section 7.4.2).

    Raises ParseError: truncated, der_tag, der_length, step_budget_spent.
    """
    certificates = body.block(3)
    return parse_names(certificates.block(3)) if certificates.left else []


def parse_names(der: Cursor) -> list[bytes]:
    """Return the dNSNames of subjectAltName, else the common name of the subject; at most CERTIFICATE_NAMES.

    Raises ParseError: truncated, der_tag, der_length, step_budget_spent.
    """
    body = expect(expect(der, SEQUENCE), SEQUENCE)
    if body.left and body.peek() == CONTEXT_0:
        element(body)
    for _ in ("serial number", "signature", "issuer", "validity"):
        element(body)
    subject = expect(body, SEQUENCE)
    while body.left:
        tag, value = element(body)
        if tag == CONTEXT_3:
            names = _alt_names(expect(value, SEQUENCE))
            if names:
                return names
    return _common_names(subject)


def _alt_names(extensions: Cursor) -> list[bytes]:
    names: list[bytes] = []
    while extensions.left:
        extension = expect(extensions, SEQUENCE)
        if expect(extension, OID).rest() != SUBJECT_ALT_NAME:
            continue
        tag, value = element(extension)
        while tag != OCTETS:  # the BOOLEAN critical
            tag, value = element(extension)
        general = expect(value, SEQUENCE)
        while general.left and len(names) < CERTIFICATE_NAMES:
            tag, value = element(general)
            if tag == DNS_NAME and 0 < value.left <= STRING_MAX:
                names.append(value.rest())
    return names


def _common_names(subject: Cursor) -> list[bytes]:
    names: list[bytes] = []
    while subject.left and len(names) < CERTIFICATE_NAMES:
        pair = expect(expect(subject, SET), SEQUENCE)
        if expect(pair, OID).rest() == COMMON_NAME:
            _, value = element(pair)
            if 0 < value.left <= STRING_MAX:
                names.append(value.rest())
    return names[-1:]  # the most specific one stands last


def element(cursor: Cursor) -> tuple[int, Cursor]:
    """Read one element (X.690 section 8.1). Raises ParseError: truncated, der_length, step_budget_spent."""
    cursor.step()
    tag, length = cursor.uint(1), cursor.uint(1)
    if length & 0x80:
        if not 0x81 <= length <= 0x83:
            raise ParseError("der_length", cursor.at)
        length = cursor.uint(length & 0x7F)
    return tag, cursor.sub(length)


def expect(cursor: Cursor, tag: int) -> Cursor:
    """Read one element of a given tag. Raises ParseError: der_tag, and as element."""
    found, value = element(cursor)
    if found != tag:
        raise ParseError("der_tag", cursor.at)
    return value
