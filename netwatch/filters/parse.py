"""Text to expression: the filter language of `-f` (DESIGN section 7), close to tcpdump's.

expression = term { ("and" | "&&" | "or" | "||") term }     left to right, and and or bind alike, as in tcpdump
term       = { "not" | "!" } ( "(" expression ")" | primitive )
primitive  = [ protocol ] ( "host" A | "net" A[/N] | "port" N | "portrange" N-N | "proto" P )
           | protocol | "vlan" [ N ] | KEY:VALUE | VALUE    (VALUE alone: what the last primitive asked for)
protocol   = "ip" | "ip6" | "tcp" | "udp" | "icmp" | "icmp6" | "sctp"
"""

import re
from typing import Final, NamedTuple, NoReturn

from netwatch.filters.expression import (
    KEYS,
    And,
    Expression,
    Hosts,
    Labelled,
    Not,
    Or,
    Ports,
    Protocol,
    Version,
    Vlan,
)
from netwatch.model.address import from_bytes
from netwatch.model.errors import UsageError
from netwatch.model.limits import FILTER_DEPTH, FILTER_TEXT
from netwatch.model.packets import ICMP, ICMP6, SCTP, TCP, UDP
from netwatch.model.text import display

PROTOCOLS: Final = {"tcp": TCP, "udp": UDP, "icmp": ICMP, "icmp6": ICMP6, "sctp": SCTP}
VERSIONS: Final = {"ip": 4, "ip6": 6}
_ASKING: Final = ("host", "net", "port", "portrange", "proto")
_JOINING: Final[dict[str, type[And | Or]]] = {"and": And, "&&": And, "or": Or, "||": Or}
_NOT: Final = ("not", "!")
_RESERVED: Final = {*_ASKING, *_JOINING, *_NOT, *PROTOCOLS, *VERSIONS, "vlan", "(", ")"}
# alternatives that start with different characters: no backtracking
_TOKEN: Final = re.compile(r'\(|\)|&&|\|\||!|(?:[^\s()&|!"]|"[^"]*")+')
_SPACE: Final = re.compile(r"\s*")


class Token(NamedTuple):
    """text: without quotes, as written.   word: in lower case.   at: its column, from 0.   quoted: holds a quote."""

    text: str
    word: str
    at: int
    quoted: bool


class Asked(NamedTuple):
    """What a bare value after `and` or `or` asks for again: the word, and the protocol before it."""

    word: str
    protocol: Expression | None


def parse(text: str) -> Expression:
    """Return the tree of an expression. Raises UsageError, which says the column (from 1) and what is possible."""
    if len(text) > FILTER_TEXT:
        raise UsageError(f"-f: the expression has {len(text)} characters (limit {FILTER_TEXT})")
    return _Parser(text).whole()


def _tokens(text: str) -> list[Token]:
    tokens = []
    at = _space(text, 0)
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            what = 'a quote " that does not end' if text[at] == '"' else f"{text[at]!r} has no meaning here"
            _fail(at, f"{what}; operators are and, or, not, &&, ||, !")
        raw = found.group()
        plain = raw.replace('"', "")
        tokens.append(Token(plain, plain.lower(), at, quoted=plain != raw))
        at = _space(text, found.end())
    return tokens


def _space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _fail(at: int, what: str) -> NoReturn:
    raise UsageError(f"-f: column {at + 1}: {what}")


class _Parser:
    def __init__(self, text: str) -> None:
        self.tokens = _tokens(text)
        self.end = Token("", "", len(text), quoted=False)
        self.at = 0
        self.asked: Asked | None = None

    def whole(self) -> Expression:
        if not self.tokens:
            _fail(0, "the expression is empty; an example is: app:tiktok and port 443")
        expression, _ = self.expression(0)
        if self.peek().word == ")":
            _fail(self.peek().at, "a ) without its (")
        return expression

    def peek(self) -> Token:
        return self.tokens[self.at] if self.at < len(self.tokens) else self.end

    def take(self) -> Token:
        token = self.peek()
        self.at += 1
        return token

    def expression(self, depth: int) -> tuple[Expression, int]:
        """Return the tree up to a ) or the end, and how deep it is; `depth` is that of the parentheses around it."""
        left, height = self.term(depth)
        joined: type[And | Or] | None = None  # what `parts` are joined by
        parts: list[Expression] = [left]
        while self.peek() is not self.end and self.peek().word != ")":
            token = self.take()
            join = _JOINING.get(token.word)
            if join is None or token.quoted:
                _fail(token.at, f"and or or is missing before {_shown(token)}")
            if joined is not join:
                parts = [parts[0] if joined is None else joined(tuple(parts))]
                joined = join
                height += 1
            part, part_height = self.term(depth)
            parts.append(part)
            height = max(height, part_height + 1)
            if depth + height > FILTER_DEPTH:
                _fail(token.at, f"nested deeper than {FILTER_DEPTH}")
        return (left if joined is None else joined(tuple(parts))), height

    def term(self, depth: int) -> tuple[Expression, int]:
        negated = False
        while self.peek().word in _NOT and not self.peek().quoted:
            self.take()
            negated = not negated
        token = self.peek()
        if token.word == "(":
            if depth >= FILTER_DEPTH:
                _fail(token.at, f"nested deeper than {FILTER_DEPTH}")
            self.take()
            inner, height = self.expression(depth + 1)
            if self.take().word != ")":
                _fail(token.at, "a ( without its )")
        else:
            inner, height = self.primitive(), 0
        return (Not(inner), height + 1) if negated else (inner, height)

    def primitive(self) -> Expression:
        token = self.take()
        if token is self.end:
            _fail(token.at, "the expression ends where a primitive is due, such as port 443 or app:tiktok")
        if token.quoted or token.word not in _RESERVED:
            return self.value(token)
        protocol: Expression | None = None
        if token.word in PROTOCOLS or token.word in VERSIONS:
            protocol = Protocol(PROTOCOLS[token.word]) if token.word in PROTOCOLS else Version(VERSIONS[token.word])
            if self.peek().word not in _ASKING:
                return protocol
            token = self.take()
        if token.word in _ASKING:
            self.asked = Asked(token.word, protocol)
            return self.ask(self.asked, self.operand(token))
        if token.word == "vlan":
            self.asked = None
            return Vlan(_number(self.take(), 4095, "a VLAN") if self.peek().word.isdecimal() else None)
        _fail(token.at, f"{_shown(token)} stands where a primitive is due, such as port 443 or app:tiktok")

    def operand(self, asking: Token) -> Token:
        token = self.take()
        if token is self.end or (token.word in _RESERVED and not (asking.word == "proto" and token.word in PROTOCOLS)):
            _fail(token.at, f"{asking.word} lacks what it asks for")
        return token

    def value(self, token: Token) -> Expression:
        """A label, or a value that repeats what was asked for last."""
        key, colon, value = token.word.partition(":")
        if colon and key in KEYS:
            if key == "name":
                value = value.rstrip(".")
            if not value:
                _fail(token.at, f"{key}: lacks a value: {KEYS[key]}")
            self.asked = None
            return Labelled(key, value)
        if self.asked is not None:
            return self.ask(self.asked, token)
        if colon and not _is_address(token.word):
            keys = " ".join(f"{known}:" for known in KEYS)
            _fail(token.at, f"there is no {_shown(token._replace(text=key))}:; there are {keys}")
        if not _is_address(token.word):
            words = " ".join(sorted(_RESERVED - {"(", ")", "!", "&&", "||"}))
            _fail(token.at, f"{_shown(token)} is no word of the language; there are {words}, and KEY:VALUE")
        self.asked = Asked("host", None)
        return self.ask(self.asked, token)

    def ask(self, asked: Asked, token: Token) -> Expression:
        test: Expression
        match asked.word:
            case "host":
                test = _hosts(token, net=False)
            case "net":
                test = _hosts(token, net=True)
            case "port":
                port = _number(token, 65_535, "a port")
                test = Ports(port, port)
            case "portrange":
                test = _portrange(token)
            case _:
                known = PROTOCOLS.get(token.word)
                test = Protocol(_number(token, 255, "a protocol") if known is None else known)
        return test if asked.protocol is None else And((asked.protocol, test))


def _shown(token: Token) -> str:
    return f'"{display(token.text, 40)}"'


def _number(token: Token, highest: int, what: str) -> int:
    digits = token.word
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= 5 and int(digits) <= highest):
        _fail(token.at, f"{what} is a number up to {highest}, not {_shown(token)}")
    return int(digits)


def _portrange(token: Token) -> Ports:
    first, _, last = token.word.partition("-")
    ports = [
        _number(token._replace(text=token.text, word=part), 65_535, "an end of a portrange such as 8000-8080")
        for part in (first, last)
    ]
    return Ports(min(ports), max(ports))


def _is_address(word: str) -> bool:
    from ipaddress import ip_address

    try:
        ip_address(word)
    except ValueError:
        return False
    return "%" not in word


def _hosts(token: Token, *, net: bool) -> Hosts:
    from ipaddress import ip_network

    word = token.word
    if net and "/" not in word and ":" not in word and word.count(".") < 3:  # net 10, net 192.168, as in tcpdump
        octets = word.split(".")
        word = f"{'.'.join(octets + ['0'] * (4 - len(octets)))}/{8 * len(octets)}"
    try:
        found = None if "%" in word or (not net and "/" in word) else ip_network(word, strict=False)
    except ValueError:
        found = None
    if found is None:
        kind = "a network such as 192.0.2.0/24" if net else "an address"
        _fail(token.at, f"{kind} is due, not {_shown(token)}; no name is looked up: for a name say name:VALUE")
    return Hosts(from_bytes(found.network_address.packed), from_bytes(found.broadcast_address.packed))
