"""Host names in the one form that is compared: lower case, A-labels, no last dot (DESIGN section 5, rule 2)."""

from typing import Final

from netwatch.model.limits import NAME_MAX

LABEL_MAX: Final = 63  # RFC 1035 section 2.3.4

_DROP_ALLOWED: Final = str.maketrans("", "", "abcdefghijklmnopqrstuvwxyz0123456789-_.")
_DOTS: Final = str.maketrans("\u3002\uff0e\uff61", "...")  # RFC 3490 section 3.1: these separate labels too
_NOBODY: Final = (".local", ".lan", ".home.arpa", ".in-addr.arpa", ".ip6.arpa")


def normal_form(name: str) -> str | None:
    """Return the normal form of a host name as seen or typed, None for what is no host name.

    Case, one last dot, a port (`host:443`) and a certificate's `*.` go; U-labels become A-labels. Letters, digits,
    `-` and `_` are allowed, labels have 1 to 63 of them, a name at most 253: anything else is None. Idempotent.
    """
    if len(name) > NAME_MAX + 8:  # room for a last dot, a port or `*.`
        return None
    if not name.isascii():
        mapped = _a_labels(name)
        if mapped is None:
            return None
        name = mapped
    name = name.lower()
    host, colon, port = name.partition(":")
    if colon and port.isdecimal():
        name = host
    name = name.removeprefix("*.").removesuffix(".")
    if not name or len(name) > NAME_MAX or name.translate(_DROP_ALLOWED):
        return None
    if name[0] == "." or name[-1] == "." or ".." in name:
        return None
    if len(name) > LABEL_MAX and max(map(len, name.split("."))) > LABEL_MAX:
        return None
    return name


def matchable(normal: str) -> bool:
    """Tell whether a normal form may match a signature: no IP literal, single label, local or reverse name."""
    last = normal.rfind(".") + 1
    return last > 0 and not is_literal(normal) and not f".{normal}".endswith(_NOBODY)


def is_literal(normal: str) -> bool:
    """Tell whether a normal form is read as an IPv4 address: its last label is a number (WHATWG URL, 3.5)."""
    last = normal[normal.rfind(".") + 1 :]
    return last.isdecimal() or last.startswith("0x")


def _a_labels(name: str) -> str | None:
    """Write each label with characters beyond ASCII as `xn--` and its Punycode (RFC 3492, RFC 5891 section 5).

    The mapping is lower case, then NFKC, as UTS 46 has it for letters; a character that is no letter, mark, digit or
    hyphen afterwards makes the name None, so that no look-alike of a dot or a slash gets through.
    """
    from unicodedata import category, normalize

    labels = [normalize("NFKC", label) for label in name.translate(_DOTS).lower().split(".")]
    for place, label in enumerate(labels):
        if label.isascii() and "." not in label:
            continue
        if len(label) > LABEL_MAX or not all(char == "-" or category(char)[0] in "LMN" for char in label):
            return None
        labels[place] = "xn--" + label.encode("punycode").decode("ascii")
    return ".".join(labels)
