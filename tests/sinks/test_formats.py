"""JSON Lines and CSV say the same, byte for byte as the contract has it, whatever strangers wrote into names."""

import csv as reference
import io
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.exports import DATABASES, Capture, Known, design_ledger, design_release, varied_release
from support.flows import Flow, Question, batch, release, tiktok_flow

from netwatch.model.records import FLOW_FIELDS, LOOKUP_FIELDS, Device, Evidence, Label, Place, Release, Talk
from netwatch.model.text import wire_bytes, wire_text
from netwatch.sinks import csv, jsonl
from netwatch.sinks.columns import dicts, flow_columns, lookup_columns
from netwatch.sinks.encode import json_object
from netwatch.sinks.summary import Summary

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
FLOW_TEXTS = (
    *("device_id", "device_name", "device_vendor", "tunnel", "interface", "protocol", "name", "name_source", "alpn"),
    *("tls_version", "ja4", "ech", "app_id", "app", "app_kind", "role", "owner_id", "owner", "control_country"),
    *("domicile", "confidence", "conflict", "server_country", "registration_country", "as_name"),
)
LOOKUP_TEXTS = (
    *("device_id", "transport", "query", "type", "rcode"),
    *("app_id", "owner_id", "control_country", "confidence"),
)
DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\0", "\uff1d", "\uff0b", "\uff0d", "\uff20")
PAYLOADS = [
    start + rest
    for start in (*DANGEROUS, "'", "''=", '"', '"=', ",", "\n", " =", "x")
    for rest in (
        *("", "1", "1+1", "cmd|' /C calc'!A0", 'HYPERLINK("https://evil.example";"x")', "@SUM(1,1)", "\r\n=1+1"),
        *(",=1+1", '",=1+1,"', ";=1", "\t=1", "'", "''", "\0", "é\u65e5\u202e\x1b]0;x\x07", "%s%d%%", "\\xff"),
    )
]


def exports(what: Release) -> dict[str, bytes]:
    """Return the bytes of every file of a run."""
    summary = Summary()
    summary.add(what)
    record = summary.record([Capture()], design_ledger(), DATABASES, Known())
    return {
        "jsonl": jsonl.flow_lines(what.flows),
        "lookups.jsonl": jsonl.lookup_lines(what.lookups),
        "csv": csv.CSV.flow_head + csv.flow_lines(what.flows),
        "lookups.csv": csv.CSV.lookup_head + csv.lookup_lines(what.lookups),
        "summary.json": json_object(record).encode("ascii") + b"\n",
    }


def read_csv(raw: bytes) -> list[list[str]]:
    return list(reference.reader(io.StringIO(raw.decode(), newline=""), strict=True))


def cell_of(value: object) -> str:
    """What a value is in CSV after the reader has dropped a leading apostrophe."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value, separators=(",", ":")) if isinstance(value, list) else str(value)


ESCAPED = re.compile(r"\\x([01][0-9a-f]|7f)|\\u([0-9a-f]{4})|\\U([0-9a-f]{8})")


def restored(cell: str) -> str:
    """The value of a cell: no apostrophe, control and invisible characters back (wire text has no such escapes)."""
    return ESCAPED.sub(lambda found: chr(int(found[1] or found[2] or found[3], 16)), cell.removeprefix("'"))


@pytest.mark.parametrize("name", ["design", "varied"])
@pytest.mark.parametrize("ending", ["jsonl", "lookups.jsonl", "csv", "lookups.csv", "summary.json"])
def test_e11_the_bytes_are_those_agreed_upon(name: str, ending: str) -> None:
    what = {"design": design_release, "varied": varied_release}[name]()
    assert exports(what)[ending] == (GOLDEN / f"{name}.{ending}").read_bytes()


def test_fields_and_their_order_are_the_contract() -> None:
    what = varied_release()
    for line in jsonl.flow_lines(what.flows).splitlines():
        assert tuple(json.loads(line)) == FLOW_FIELDS
    for line in jsonl.lookup_lines(what.lookups).splitlines():
        assert tuple(json.loads(line)) == LOOKUP_FIELDS


def test_e8_each_line_is_one_ascii_object_without_spaces_and_says_what_the_columns_say() -> None:
    what = varied_release()
    for raw, columns in (
        (jsonl.flow_lines(what.flows), flow_columns(what.flows)),
        (jsonl.lookup_lines(what.lookups), lookup_columns(what.lookups)),
    ):
        assert raw.isascii()
        assert raw.endswith(b"}\n")
        assert not [byte for byte in raw if (byte < 32 and byte != 10) or byte == 127]
        lines = raw.decode().split("\n")[:-1]
        assert [json.loads(line) for line in lines] == dicts(columns)
        assert [json.dumps(json.loads(line), separators=(",", ":")) for line in lines] == [
            line.replace("\\u007f", "\x7f") for line in lines
        ]


def test_csv_says_what_json_says() -> None:
    what = varied_release()
    for head, rows, columns in (
        (csv.CSV.flow_head, csv.flow_lines(what.flows), flow_columns(what.flows)),
        (csv.CSV.lookup_head, csv.lookup_lines(what.lookups), lookup_columns(what.lookups)),
    ):
        table = read_csv(head + rows)
        known = dicts(columns)
        assert table[0] == list(known[0])
        lists = {field for field, value in known[0].items() if isinstance(value, list)}  # JSON text: its own escapes
        assert [
            [cell if field in lists else restored(cell) for field, cell in zip(table[0], row, strict=True)]
            for row in table[1:]
        ] == [[cell_of(value) for value in record.values()] for record in known]


@given(st.lists(st.binary(max_size=20), min_size=1, max_size=4))
def test_e8_bytes_of_names_come_back_from_json_and_csv(raws: list[bytes]) -> None:
    some = batch([Flow(label=Label(name=wire_text(raw), name_source="sni")) for raw in raws])
    names = [json.loads(line)["name"] for line in jsonl.flow_lines(some).splitlines()]
    assert [wire_bytes(name) for name in names] == raws
    cells = [row[FLOW_FIELDS.index("name")] for row in read_csv(csv.flow_lines(some))]
    assert [wire_bytes(restored(cell)) for cell in cells] == raws


def flow_with(value: str) -> Flow:
    """Return a flow that has `value` in every text column."""
    return Flow(
        device=Device(value, value, value),
        tunnel=value,
        interface=value,
        talk=Talk(value, value, value, value, value),
        label=Label(*[value] * 12),
        place=Place(value, value, 1, value, False),
        evidence=(Evidence(value, value, 0, 1, value),),
    )


def test_e6_no_payload_in_any_column_is_a_formula_and_each_comes_back() -> None:
    assert len(PAYLOADS) >= 300
    flows = read_csv(csv.flow_lines(batch([flow_with(payload) for payload in PAYLOADS])))
    questions = [
        Question(
            device=Device(payload, None, None),
            transport=payload,
            query=payload,
            type=payload,
            rcode=payload,
            answers=((payload, payload, payload, 1),),
            label=Label(*[payload] * 12),
        ).build()
        for payload in PAYLOADS
    ]
    lookups = read_csv(csv.lookup_lines(questions))
    for fields, texts, rows in ((FLOW_FIELDS, FLOW_TEXTS, flows), (LOOKUP_FIELDS, LOOKUP_TEXTS, lookups)):
        assert len(rows) == len(PAYLOADS)
        for payload, row in zip(PAYLOADS, rows, strict=True):
            assert not [cell for cell in row if cell.startswith(DANGEROUS)]
            record = dict(zip(fields, row, strict=True))
            assert {restored(record[field]) for field in texts} == {payload}


@given(st.text())
def test_e6_any_text_is_no_formula_and_comes_back(raw: str) -> None:
    value = wire_text(raw.encode("utf-8", "surrogatepass"))
    ((cell, _),) = read_csv(f"{csv.cell(value)},\r\n".encode())
    assert not cell.startswith(DANGEROUS)
    assert restored(cell) == value


def test_codes_that_no_row_has_are_not_read() -> None:
    some = batch([tiktok_flow()])
    unread: Any = [None, *some.labels[1:]]
    assert jsonl.flow_lines(replace(some, labels=unread)) == jsonl.flow_lines(some)


def test_lines_do_not_depend_on_what_else_is_in_a_batch() -> None:
    what = varied_release()
    rows = [Flow(flow_id=9), tiktok_flow(), flow_with("x"), flow_with('a"b')]
    together = jsonl.flow_lines(batch(rows)), csv.flow_lines(batch(rows))
    alone = [b"".join(write(batch([row])) for row in rows) for write in (jsonl.flow_lines, csv.flow_lines)]
    assert list(together) == alone
    assert jsonl.lookup_lines(what.lookups) == b"".join(jsonl.lookup_lines([one]) for one in what.lookups)


def test_no_record_no_byte() -> None:
    nothing = release()
    for format_ in (jsonl.JSONL, csv.CSV):
        assert format_.flows(nothing.flows) == format_.lookups(nothing.lookups) == b""


def test_e11_hash_seed_and_time_zone_change_no_byte() -> None:
    code = (
        "import sys; sys.path[:0] = sys.argv[1:]\n"
        "from hashlib import sha256\n"
        "from netwatch.sinks import csv, jsonl\n"
        "from netwatch.sinks.encode import json_object\n"
        "from netwatch.sinks.summary import Summary\n"
        "from support.exports import *\n"
        "for what in (design_release(), varied_release()):\n"
        "    summary = Summary(); summary.add(what)\n"
        "    record = summary.record([Capture()], design_ledger(), DATABASES, Known())\n"
        "    parts = [jsonl.flow_lines(what.flows), jsonl.lookup_lines(what.lookups), csv.flow_lines(what.flows),\n"
        "             csv.lookup_lines(what.lookups), json_object(record).encode()]\n"
        "    print([sha256(part).hexdigest() for part in parts])\n"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code, str(GOLDEN.parent)],
            env={**os.environ, "PYTHONHASHSEED": seed, "TZ": zone},
            capture_output=True,
            check=True,
        ).stdout
        for seed, zone in (("1", "UTC"), ("2", "Asia/Kathmandu"))
    }
    assert len(outputs) == 1
