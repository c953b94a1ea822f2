"""Which program of this host has the socket of a flow (`--processes`)."""

from netwatch.runtime.processes.helper import Processes

__all__ = ["Processes"]
