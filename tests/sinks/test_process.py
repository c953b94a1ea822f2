"""The field `process`: null where nobody looked or nothing is known, else the program, in every format."""

import json
from dataclasses import replace

import numpy as np
from support.flows import batch, tiktok_flow

from netwatch.model.records import FLOW_FIELDS, FlowBatch
from netwatch.sinks.columns import dicts, flow_columns
from netwatch.sinks.csv import CSV
from netwatch.sinks.jsonl import flow_lines

FLOWS = batch([tiktok_flow(flow_id=1), tiktok_flow(flow_id=2), tiktok_flow(flow_id=3)])
NAMED = replace(FLOWS, process=np.array([1, 0, 2], np.int32), processes=[None, "curl", '=x"\x1b\u202e'])


def said(flows: FlowBatch) -> list[object]:
    """Return what the lines say, which is what the columns say."""
    rows = [json.loads(line) for line in flow_lines(flows).splitlines()]
    assert rows == dicts(flow_columns(flows))
    assert all(tuple(row) == FLOW_FIELDS for row in rows)
    return [row["process"] for row in rows]


def test_nobody_looked() -> None:
    assert said(FLOWS) == [None, None, None]


def test_programs_are_written_and_escaped() -> None:
    assert said(NAMED) == ["curl", None, '=x"\x1b\u202e']
    assert flow_lines(NAMED).isascii()
    ends = [line.rpartition(b",")[2] for line in CSV.flows(NAMED).splitlines()]
    assert ends[:2] == [b"curl", b""]
    assert b"\x1b" not in ends[2]
    assert b",=" not in CSV.flows(NAMED)


def test_a_selection_keeps_the_programs() -> None:
    assert said(NAMED.select(np.array([False, True, True]))) == [None, '=x"\x1b\u202e']
    assert said(FLOWS.select(np.array([False, True, True]))) == [None, None]
