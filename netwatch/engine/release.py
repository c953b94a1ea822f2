"""Finished rows of the flow table become flow records: client and server, device, place, label, evidence."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import starmap
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from netwatch.attribution.blindness import needs_name
from netwatch.attribution.days import DAY_NS, day_of
from netwatch.attribution.decide import Attributor, FlowFacts, Judgement, Sighting
from netwatch.engine.devices import Devices
from netwatch.engine.talked import Talked
from netwatch.flows.key import PORTS_BIT, V6_BIT
from netwatch.flows.record import SYN_ACK_HIGH, SYN_ACK_LOW, SYN_HIGH, SYN_LOW, Rows, gather
from netwatch.model.address import address
from netwatch.model.arrays import I32, U8, U64, Bool
from netwatch.model.distinct import Coder, distinct
from netwatch.model.limits import LABEL_CACHE
from netwatch.model.packets import TCP
from netwatch.model.records import BLIND, Evidence, FlowBatch, Label, Place, Talk
from netwatch.model.text import wire_text
from netwatch.places.local import LocalNetworks
from netwatch.places.places import Places

ESP: Final = 50
AH: Final = 51
BLIND_CODE: Final = {reason: code for code, reason in enumerate(BLIND)}
RELEASE_ROWS: Final = 2_048  # what an export holds as text at a time: about 8 MB
HIGH: Final = np.uint64(0xFFFF_FFFF)


class Ends:
    """The two ends of N flows as columns, ordered client, server."""

    def __init__(self, rows: Rows, hint: NDArray[np.int8]) -> None:
        word0, word1, wide = rows["word0"], rows["word1"], rows["wide"]
        v6 = word1 & np.uint64(V6_BIT) != 0
        self.family: U8 = np.where(v6, 6, 4).astype(np.uint8)
        self.protocol: U8 = (word1 >> np.uint64(24) & np.uint64(255)).astype(np.uint8)
        self.vlan: I32 = (word1 & np.uint64(0x1FFF)).astype(np.int32) - 1
        ports: Bool = word1 & np.uint64(PORTS_BIT) != 0
        low = (np.where(v6, wide[:, 1], 0), np.where(v6, word0, word0 >> np.uint64(32)))
        high = (np.where(v6, wide[:, 2], 0), np.where(v6, wide[:, 0], word0 & HIGH))
        low_port = (word1 >> np.uint64(48)).astype(np.int32)
        high_port = (word1 >> np.uint64(32) & np.uint64(0xFFFF)).astype(np.int32)
        self.swap = client_is_high(rows, hint, np.where(ports, low_port, 0), np.where(ports, high_port, 0))
        self.client = tuple(np.where(self.swap, h, w).astype(np.uint64) for w, h in zip(low, high, strict=True))
        self.server = tuple(np.where(self.swap, w, h).astype(np.uint64) for w, h in zip(low, high, strict=True))
        self.client_port: I32 = np.where(ports, np.where(self.swap, high_port, low_port), -1).astype(np.int32)
        self.server_port: I32 = np.where(ports, np.where(self.swap, low_port, high_port), -1).astype(np.int32)
        self._pick = self.swap.astype(np.int64)
        self._index = np.arange(len(rows))

    def of_client(self, column: NDArray[Any]) -> NDArray[Any]:
        """Take the client's half of a column [N, 2] by side."""
        half: NDArray[Any] = column[self._index, self._pick]
        return half

    def of_server(self, column: NDArray[Any]) -> NDArray[Any]:
        """Take the server's half of a column [N, 2] by side."""
        half: NDArray[Any] = column[self._index, 1 - self._pick]
        return half


def client_is_high(rows: Rows, hint: NDArray[np.int8], low_port: I32, high_port: I32) -> Bool:
    """Tell whose side the client is (DESIGN section 3.3), True for the upper end of the key.

    The sender of a SYN (or the other end of a SYN+ACK); else what a payload showed (hint 0 or 1, -1 for nothing); else
    the higher port; else the end that was seen first.
    """
    syn = rows["syn"]
    side = np.full(len(rows), -1, np.int8)
    side[hint >= 0] = hint[hint >= 0]
    side[(syn & (SYN_ACK_LOW | SYN_ACK_HIGH)) == SYN_ACK_LOW] = 1
    side[(syn & (SYN_ACK_LOW | SYN_ACK_HIGH)) == SYN_ACK_HIGH] = 0
    side[(syn & (SYN_LOW | SYN_HIGH)) == SYN_LOW] = 0
    side[(syn & (SYN_LOW | SYN_HIGH)) == SYN_HIGH] = 1
    by_port = np.where(low_port == high_port, rows["first_side"], low_port < high_port)
    is_high: Bool = np.where(side >= 0, side == 1, by_port != 0)
    return is_high


def flow_ids(rows: Rows) -> U64:
    """Mix key, start and position in the input into 64 bits, the same in every run."""
    mixed = rows["token"].astype(np.uint64)
    for word in (rows["start"].astype(np.uint64), rows["word0"], rows["word1"], *rows["wide"].T):
        mixed ^= word + np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(30)
        mixed *= np.uint64(0xBF58476D1CE4E5B9)
        mixed ^= mixed >> np.uint64(27)
        mixed *= np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return mixed


class Releaser:
    """Builds FlowBatches; everything that it needs beside the rows is given once."""

    def __init__(
        self, attributor: Attributor, places: Places, devices: Devices, local: LocalNetworks,
        ech: Callable[[int, int], bool],
    ) -> None:  # fmt: skip
        self._attributor = attributor
        self._places = places
        self._devices = devices
        self._local = local
        self._ech = ech  # (address, time): an HTTPS record with `ech=` was answered for a name there

    def judge_by(self, attributor: Attributor, places: Places) -> None:
        """Ask these from here on."""
        self._attributor, self._places = attributor, places

    def flows(
        self, rows: Rows, talked: Callable[[int, int], Talked | None], tunnels: Sequence[str | None],
        interfaces: Sequence[str | None],
    ) -> Iterator[FlowBatch]:  # fmt: skip
        """Turn ended rows (dtype FLOW) into records, RELEASE_ROWS at a time, at least one batch.

        talked(token, payload) gives and forgets what a flow told; payload: 0 where its packets were empty.
        """
        ids = flow_ids(rows)
        order = np.lexsort((ids, rows["start"]))
        for lo in range(0, max(1, len(order)), RELEASE_ROWS):
            some = order[lo : lo + RELEASE_ROWS]
            yield self._batch(gather(rows, some), ids[some], talked, tunnels, interfaces)

    def _batch(
        self, rows: Rows, ids: U64, talked: Callable[[int, int], Talked | None], tunnels: Sequence[str | None],
        interfaces: Sequence[str | None],
    ) -> FlowBatch:  # fmt: skip
        tokens = rows["token"].tolist()
        told = [talked(token, payload) for token, payload in zip(tokens, rows["payload"].tolist(), strict=True)]
        hint = np.full(len(rows), -1, np.int8)
        for i, one in enumerate(told):
            if one is not None and one.hint is not None:
                hint[i] = one.hint
        ends = Ends(rows, hint)
        client_local = self._local.contains(ends.family, *ends.client)
        server_local = self._local.contains(ends.family, *ends.server)
        at_server = (server_local & ~client_local) | _is_group(ends.family, *ends.client)
        device, devices = self._devices.code(
            np.where(at_server, ends.of_server(rows["mac"]), ends.of_client(rows["mac"])),
            ends.family,
            *(np.where(at_server, s, c) for s, c in zip(ends.server, ends.client, strict=True)),
        )
        server, server_code = self._servers(ends)
        places = self._places.describe(server)
        judged = self._judge(rows, ends, told, server, server_code, places, server_local)
        in_coverage = ~(client_local & server_local) & judged.needs_name
        tcp = ends.protocol == TCP
        flags = rows["flags"]
        return FlowBatch(
            flow_id=ids, start=rows["start"], end=rows["end"], family=ends.family,
            client_hi=ends.client[0], client_lo=ends.client[1], client_port=ends.client_port,
            server_hi=ends.server[0], server_lo=ends.server[1], server_port=ends.server_port,
            transport=ends.protocol, vlan=ends.vlan,
            packets_out=ends.of_client(rows["packets"]).astype(np.int64),
            packets_in=ends.of_server(rows["packets"]).astype(np.int64),
            bytes_out=ends.of_client(rows["bytes"]), bytes_in=ends.of_server(rows["bytes"]),
            wire_bytes_out=ends.of_client(rows["wire"]), wire_bytes_in=ends.of_server(rows["wire"]),
            tcp_flags_out=np.where(tcp, ends.of_client(flags), -1).astype(np.int16),
            tcp_flags_in=np.where(tcp, ends.of_server(flags), -1).astype(np.int16),
            end_reason=rows["reason"], blind=judged.blind,
            device=device, devices=devices,
            tunnel=rows["tunnel"].astype(np.int32), tunnels=tunnels,
            interface=rows["interface"].astype(np.int32), interfaces=interfaces,
            talk=judged.talk, talks=judged.talks, label=judged.label, labels=judged.labels,
            place=server_code, places=places, evidence=judged.evidence, in_coverage=in_coverage,
        )  # fmt: skip

    @staticmethod
    def _servers(ends: Ends) -> tuple[list[int], I32]:
        hi, lo = ends.server
        first, code = distinct(lo, hi, ends.family.astype(np.uint64))
        at = first.tolist()
        family, his, los = ends.family[at].tolist(), hi[at].tolist(), lo[at].tolist()
        return list(starmap(address, zip(family, his, los, strict=True))), code

    def _judge(
        self, rows: Rows, ends: Ends, told: Sequence[Talked | None], server: Sequence[int], server_code: I32,
        places: Sequence[Place], server_local: Bool,
    ) -> "_Judged":  # fmt: skip
        """Judge each flow that told a name or a hello, and each kind of the others once."""
        spoken = _spoken(told, ends.protocol)
        shook = rows["syn"] != 0
        plain = np.array([one is None or one.is_plain() for one in told], bool)
        alike, apart = np.flatnonzero(plain), np.flatnonzero(~plain)
        first, kind = distinct(
            server_code[alike].astype(np.uint64) << np.uint64(32) | (ends.server_port[alike] + 1).astype(np.uint64),
            (rows["start"][alike] // DAY_NS).astype(np.uint64) << np.uint64(32)
            | spoken.code[alike].astype(np.uint64) << np.uint64(16)
            | ends.protocol[alike].astype(np.uint64) << np.uint64(8)
            | rows["payload"][alike].astype(np.uint64) << np.uint64(1)
            | shook[alike].astype(np.uint64),
        )
        at = np.concatenate((alike[first], apart))
        transport, payload, start = ends.protocol[at], rows["payload"][at], rows["start"][at]
        columns = (
            at, server_code[at], ends.server_port[at], server_local[at], transport, spoken.code[at],
            shook[at] | (transport != TCP), payload & 2 != 0, payload != 0, start, start // DAY_NS, rows["number"][at],
        )  # fmt: skip
        judge, new, asns = self._attributor.judge, tuple.__new__, [place.asn for place in places]
        days = {day: day_of(day * DAY_NS) for day in set(columns[-2].tolist())}
        judged: list[Judgement] = []
        talks = _Talks()
        talk: list[int] = []
        for i, code, port, local, number, word, handshake, cut, any_payload, begin, day, packet in zip(
            *(column.tolist() for column in columns), strict=True
        ):
            one, protocol = told[i], spoken.words[word]
            sightings: tuple[Sighting, ...] = ()
            hello, undecryptable, ech = None, False, False
            if one is not None:
                sightings, hello, undecryptable = one.sightings + one.answers, one.hello, one.undecryptable
                ech = hello is not None and hello.ech
            facts = new(FlowFacts, (
                sightings, server[code], port, local, asns[code], begin, packet, protocol, number, ech,
                ech and self._ech(server[code], begin), handshake, hello is not None, cut, undecryptable, any_payload,
                days[day],
            ))  # fmt: skip
            judgement = judge(facts)
            judged.append(judgement)
            if hello is None:
                talk.append(talks[protocol, (), None, None, judgement.ech])
            else:
                talk.append(talks[protocol, hello.alpn, hello.version, hello.ja4, judgement.ech])
        needed = _needed(spoken.words, spoken.code[at], transport)
        return _spread(rows, judged, (list(talks.talks), talk, needed), (alike, kind, apart))


def _is_group(family: U8, hi: U64, lo: U64) -> Bool:
    """Whether an address is a multicast or the broadcast one: no device has it."""
    v4 = (lo >> np.uint64(28) == 14) | (lo == HIGH)
    group: Bool = np.where(family == 4, v4, hi >> np.uint64(56) == 0xFF)
    return group


class _Spoken(NamedTuple):
    """The protocol of each flow: words[code[i]]."""

    words: Sequence[str | None]
    code: I32


def _spoken(told: Sequence[Talked | None], transport: U8) -> _Spoken:
    words = Coder()
    none, ipsec = words[None], words["ipsec"]
    code = np.array([none if one is None else words[one.protocol] for one in told], np.int32)
    code[(code == none) & ((transport == ESP) | (transport == AH))] = ipsec
    return _Spoken(list(words), code)


class _Judged(NamedTuple):
    """Labels, talks, blind reasons and evidence of N flows, as FlowBatch has them."""

    label: I32
    labels: Sequence[Label]
    talk: I32
    talks: Sequence[Talk]
    blind: U8
    evidence: Mapping[int, tuple[Evidence, ...]]
    needs_name: Bool


def _spread(
    rows: Rows, judged: Sequence[Judgement], more: tuple[Sequence[Talk], Sequence[int], Bool],
    groups: tuple[NDArray[np.intp], I32, NDArray[np.intp]],
) -> _Judged:  # fmt: skip
    """Spread judgements over all flows: first those of each kind of `alike` flows, then those of the ones `apart`.

    more: distinct talks, and for each judgement which of them it goes with, and whether such a flow needs a name.
    """
    alike, kind, apart = groups
    talks, talk, needed = more
    labels = Coder()
    kinds = len(judged) - len(apart)
    label_at = [id(one.label) for one in judged]  # one verdict's label is one object: cheaper than comparing labels
    label_code = {key: labels[one.label] for key, one in dict(zip(label_at, judged, strict=True)).items()}

    def spread(values: Sequence[int] | Bool) -> I32:
        column = np.zeros(len(rows), np.int32)
        each = np.array(values, np.int32)
        column[alike] = each[:kinds][kind]
        column[apart] = each[kinds:]
        return column

    evidence = {i: one.evidence for i, one in zip(apart.tolist(), judged[kinds:], strict=True) if one.evidence}
    shown = np.flatnonzero(np.array([bool(one.evidence) for one in judged[:kinds]], bool)[kind]) if kinds else kind
    at = alike[shown]
    columns = (at, kind[shown], rows["start"][at], rows["number"][at])
    for i, k, start, number in zip(*(column.tolist() for column in columns), strict=True):
        evidence[i] = tuple(piece._replace(time=start, packet=number) for piece in judged[k].evidence)
    return _Judged(
        spread([label_code[key] for key in label_at]), list(labels), spread(talk), talks,
        spread([BLIND_CODE[one.blind] for one in judged]).astype(np.uint8), evidence, spread(needed) != 0,
    )  # fmt: skip


def _needed(words: Sequence[str | None], code: I32, transport: U8) -> Bool:
    """Tell which flows need a name, by the place of their protocol in `words` and their transport."""
    pair = code.astype(np.uint64) << np.uint64(8) | transport
    first, kind = distinct(pair)
    pairs = zip(code[first].tolist(), transport[first].tolist(), strict=True)
    needed: Bool = np.array([needs_name(words[at], number) for at, number in pairs], bool)[kind]
    return needed


class _Talks(dict[tuple[Any, ...], int]):
    """Numbers what handshakes showed, by the arguments of _talked; talks: distinct ones, in that order."""

    def __init__(self) -> None:
        super().__init__()
        self.talks = Coder()

    def __missing__(self, shown: tuple[Any, ...]) -> int:
        code = self[shown] = self.talks[_talked(*shown)]
        return code


@lru_cache(maxsize=LABEL_CACHE)
def _talked(
    protocol: str | None, alpn: tuple[bytes, ...], version: str | None, ja4: str | None, ech: str | None
) -> Talk:
    return Talk(protocol, ",".join(map(wire_text, alpn)) or None, version, ja4, ech)
