"""One error base, one subclass for each boundary, each with the exit code of DESIGN section 7."""

from enum import IntEnum


class ExitCode(IntEnum):
    """What a command ends with; other tools read these numbers."""

    OK = 0
    FAIL = 1
    USAGE = 2
    UNREADABLE = 3
    PARTIAL = 4
    SANDBOX = 5
    INTERNAL = 70
    INTERRUPTED = 130


class NetwatchError(Exception):
    """An expected failure: one line that names the thing, the place and the next step."""

    exit_code = ExitCode.INTERNAL


class UsageError(NetwatchError):
    """The command line, a filter expression or a name in it cannot be taken."""

    exit_code = ExitCode.USAGE


class SourceError(NetwatchError):
    """An input cannot be read at all: nothing of it was counted."""

    exit_code = ExitCode.UNREADABLE


class DataError(NetwatchError):
    """A signature, a policy or a database cannot be used."""

    exit_code = ExitCode.UNREADABLE


class SinkError(NetwatchError):
    """An output cannot be written; the text says how many records are not on disk."""

    exit_code = ExitCode.UNREADABLE


class GuardError(NetwatchError):
    """A part of the sandbox is not there, and the user wants all of it; or privileges cannot be given up soundly."""

    exit_code = ExitCode.SANDBOX


class ParseError(Exception):
    """The only error that leaves a parser of wire data.

    anomaly: a name of model/anomalies.py.
    at: the offset in bytes, within the buffer given to the parser, where the rule was broken.
    """

    def __init__(self, anomaly: str, at: int = 0) -> None:
        super().__init__(anomaly, at)
        self.anomaly = anomaly
        self.at = at

    def __str__(self) -> str:
        return f"{self.anomaly} at byte {self.at}"
