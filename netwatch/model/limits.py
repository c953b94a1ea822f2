"""Every cap of the engine, each with the reason for its size (RELIABILITY.md names the row)."""

from typing import Final

BATCH_PACKETS: Final = 65_536  # positions inside a batch fit 16 bits, which sorts them by counting
BATCH_BYTES: Final = 16 * 1024 * 1024  # larger buffers fall out of the cache
PAD: Final = 128  # readable bytes behind the last frame: a gather of up to PAD bytes never leaves the buffer
STREAM_PACKETS: Final = (
    32  # a release costs about a millisecond: a stream of absurd times still runs at 16,000 packets/s
)
RELEASE_PACKETS: Final = 65_536  # records leave after each so many packets of the input, whatever the batches

CAPLEN_MAX: Final = 262_144  # F1: libpcap's own limit on a captured frame
BLOCK_MAX: Final = 16 * 1024 * 1024  # F1: a pcapng block
PCAPNG_INTERFACES: Final = 4_096  # F3: different clocks of a section; interfaces that share one cost two numbers
PCAPNG_NUMBERS: Final = 65_535  # F3: interfaces of a section: an index of 16 bits has room for them and for "none"
UNPACK_RATIO: Final = 1_000  # F4: gzip reaches 1,032:1 on zeros; real captures stay below 100:1
UNPACK_FREE: Final = 16 * 1024 * 1024  # F4: below this many unpacked bytes no ratio is judged
UNPACK_TOTAL: Final = 64 * 1024**3  # F4: default of --max-bytes

TUNNEL_DEPTH: Final = 8  # P6: layers of encapsulation; deeper is counted too_deep
IPV6_EXTENSIONS: Final = 12  # P6
FRAGMENTS: Final = 4_096  # datagrams whose first fragment is remembered
FRAGMENT_AGE_NS: Final = 30 * 10**9  # as Linux ipfrag_time
FRAGMENT_BYTES: Final = 8 * 1024 * 1024  # of UDP datagrams that are not whole yet, all together

MAX_FLOWS: Final = 262_144  # M1: live flows; about 60 MiB
IDLE_UDP_NS: Final = 60 * 10**9
IDLE_TCP_NS: Final = 300 * 10**9
ACTIVE_NS: Final = 30 * 60 * 10**9
LINGER_NS: Final = 5 * 10**9  # stragglers after FIN both ways or RST

STEPS: Final = 1_024  # P4, P5: one budget for a message, shared by all its blocks
NAME_MAX: Final = 253  # a DNS name as text
STRING_MAX: Final = 1_024  # M3: any one string kept for a flow
HELLO_MAX: Final = 65_536  # P7: bytes of a stream kept while a hello is not whole
HELLO_EXTENSIONS: Final = 128  # P7
HELD_SEGMENTS: Final = 32  # P7: out of order, a flow
REASSEMBLY_BYTES: Final = 32 * 1024 * 1024  # P7, M3: of all flows together
DNS_POINTERS: Final = 16  # P5
DNS_RECORDS: Final = 256  # P5: the rest is counted, what was read stays
QUIC_INITIALS: Final = 8  # P8: decrypted, a flow
QUIC_RATE: Final = 5_000  # P8: decrypted in a second of capture time
QUIC_RATE_SOURCE: Final = 50  # P8: of them by one source address
CERTIFICATE_NAMES: Final = 64  # names kept of one certificate; more is a shared front
HTTP_HEAD: Final = 16_384  # bytes of one request head

WORDS_MAX: Final = 65_536  # names of tunnels or interfaces that one run tells apart: numbers of 16 bits

INSPECT_PACKETS: Final = 4  # payload packets of a flow that parsers see unasked
DNS_MEMORY: Final = 65_536  # M3: addresses remembered
DNS_NAMES: Final = 8  # M3: names an address
DNS_GRACE_NS: Final = 15 * 60 * 10**9  # apps keep using an address past its TTL
LOOKUP_WAIT_NS: Final = 10 * 10**9  # a question without an answer
LOOKUPS_OPEN: Final = 65_536  # questions that wait for an answer
HOSTS: Final = 65_536  # M3: devices with a name or rows of their own in a summary
PLACES: Final = 65_536  # M3: addresses whose place is remembered; about 10 MiB
GEO_BYTES: Final = 256 * 1024**2  # B2: a database given by --geo
SUMMARY_CELLS: Final = 131_072  # M3: sums of a summary, by device, label, country and evidence; about 50 MiB
EVIDENCE: Final = 16  # pieces kept for one flow
LABEL_CACHE: Final = 65_536  # attribution results kept

POLICY_RULES: Final = 256  # B3: rows of a policy
POLICY_WORDS: Final = 1_024  # B3: words of one key
CLAIMS: Final = 65_536  # M3: sums of a check, by device and label; about 40 MiB
PROOFS: Final = 8  # pieces of evidence kept for one of them
CLIENTS: Final = 16  # addresses of one device that a check tells apart

HELD_BYTES: Final = 64 * 1024 * 1024  # E3: lines of one file that wait for a full disk

FILTER_TEXT: Final = 65_536  # characters of a filter expression: hundreds of addresses fit
FILTER_DEPTH: Final = 100  # parentheses, and changes between and and or: evaluation is recursive
