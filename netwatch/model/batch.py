"""What a source hands over: captured frames of one link type, in arrival order."""

from typing import Final, NamedTuple

from netwatch.model.arrays import I32, I64, U8, U16, U32

# Directions, numbered as Linux does (packet(7), sll_pkttype).
HOST: Final = 0
BROADCAST: Final = 1
MULTICAST: Final = 2
OTHER_HOST: Final = 3
OUTGOING: Final = 4


class PacketBatch(NamedTuple):
    """Captured packets in arrival order, back to back in one read-only buffer.

    data:            uint8[B], frames and PAD more readable bytes; a view of a mapped file or a ring block where that
                     holds, valid until the next batch.
    offset:          int64[N], where each packet starts, in bytes from data[0].
    caplen:          int32[N], bytes captured; less than wirelen when a packet was cut.
    wirelen:         uint32[N], bytes on the wire; a record may claim 4 GiB, so sums are int64.
    time:            int64[N], nanoseconds since 1970 UTC as the source stamped them; may go backwards.
    interface:       uint16[N], index into interfaces.
    number:          int64[N], the packet's number in its capture, from 1 (captures that are merged interleave).
    link_type:       LINKTYPE number of every packet here: a change starts a new batch.
    interfaces:      the source's names of interfaces: a live one's name, a pcapng one's number, None for pcap.
    direction:       uint8[N], HOST to OUTGOING: whom a frame was for, as live sources tell; None where not known.
    """

    data: U8
    offset: I64
    caplen: I32
    wirelen: U32
    time: I64
    interface: U16
    number: I64
    link_type: int
    interfaces: tuple[str | None, ...]
    direction: U8 | None = None
