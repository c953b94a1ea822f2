"""Every rule that wire data or a file can break, by the name that is counted in the ledger."""

from typing import Final

# One section for each room; a name is lower_case, starts with its protocol, and is never reused for another meaning.
ANOMALIES: Final[dict[str, str]] = {
    # any parser
    "truncated": "a field reaches beyond the bytes that are there",
    "step_budget_spent": "a message needs more steps than a parser may take",
    "parser_bug": "a parser raised something else than ParseError: please report",
    # --- sources ---
    # --- decode ---
    # --- flows ---
    # --- names: cursor, reassembly ---
    "reassembly_overlap": "bytes sent twice differ from those that came first",
    "reassembly_held_full": "more runs of a stream wait for a gap to close than are held",
    "reassembly_too_far": "a segment lies too far ahead of the bytes that are missing",
    "reassembly_too_long": "a message needs more bytes of a stream than are kept",
    "reassembly_evicted": "a flow's bytes were forgotten for those of others",
    # --- names: tls ---
    "tls_record_version": "a record's version does not begin with 3",
    "tls_record_type": "a record has a type that is not registered",
    "tls_record_length": "a record claims more than 18,432 bytes",
    "tls_records": "more records of a side come before its hello or certificate than are read",
    "tls_messages": "more handshake messages of a side come before its certificate than are read",
    "tls_message_too_long": "a handshake message claims more bytes than are read",
    "tls_extensions": "a hello has more extensions than are read",
    "tls_server_name_empty": "a hello asks for a host name of no bytes",
    "tls_server_name_type": "a hello asks for a name of another type than host_name",
    "der_tag": "a certificate has another element than the one expected",
    "der_length": "a certificate has an indefinite or oversized length",
    "dtls_fragment": "a fragment of a DTLS message lies outside of it",
    "dtls_messages": "more DTLS hellos of a flow are under way than are kept",
    # --- names: quic ---
    "quic_connection_id": "a connection id is longer than 20 bytes",
    "quic_not_authentic": "an Initial's tag does not verify",
    "quic_frame": "an Initial holds a frame that may not be there",
    "quic_crypto_offset": "a CRYPTO frame lies beyond the bytes that are kept",
    "quic_no_hello": "a client's CRYPTO stream does not begin with a ClientHello",
    "quic_skipped": "an Initial was not opened: too many of its flow, its source or in this second",
    "quic_no_cryptography": "an Initial was not opened: the package cryptography is absent",
    "gquic_tags": "a CHLO's tags are too many or out of order",
    # --- names: dns ---
    "dns_label_type": "a name has a label of a reserved type",
    "dns_pointer_forward": "a pointer of a name does not point backwards",
    "dns_pointer_chain": "a name jumps more often than is followed",
    "dns_name_too_long": "a name is longer than 255 bytes",
    "dns_records": "a message has more records than are read",
    "dns_address_length": "an address record has another length than an address",
    "dns_tcp_passed": "a segment completes more messages than are read",
    "dns_svc_params": "a service binding has more parameters than are read",
    # --- names: http ---
    "http_request_line": "a request line has no target",
    "http_head_too_long": "the head of a request is longer than is read",
    "http2_frame": "a frame before the first request is too long, ill-formed or one too many",
    "hpack_index": "a header names an entry that the tables do not have",
    "hpack_integer": "a header's integer is longer than is read",
    "hpack_table_size": "a header table grows beyond its limit",
    "hpack_huffman": "a Huffman string ends inside a code",
    # --- names: others ---
    "dhcp_op": "a message is neither a request nor a reply",
    "dhcp_cookie": "a message without the magic cookie of DHCP",
    "dhcp_options": "a message has more options than are read",
    # --- attribution ---
    "dns_answer_other_name": "an answer's address belongs to a name that was not asked for",
    "dns_memory_evicted": "the memory of resolved addresses is full: its oldest was dropped",
    "dns_names_evicted": "an address has more names than are remembered: its oldest was dropped",
    "dns_ech_evicted": "the memory of names with ECH keys is full: its oldest was dropped",
    "lookups_evicted": "too many questions wait for an answer: the oldest counts as unanswered",
    # --- sinks ---
    "devices_folded": "a flow or lookup of a device beyond those that a summary keeps apart",
}
