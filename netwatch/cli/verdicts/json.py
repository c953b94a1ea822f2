"""A verdict as it is: one JSON object on one line (DESIGN section 7)."""

from netwatch.cli.verdicts.words import Verdict
from netwatch.sinks.encode import json_object


def json(verdict: Verdict) -> str:
    """Write the verdict on one line, keys in the order given."""
    return json_object(verdict) + "\n"
