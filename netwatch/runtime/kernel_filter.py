"""What of a live `-f` the kernel does, and what is left for the records."""

from typing import NamedTuple

from netwatch.filters.assembler import INSTRUCTION
from netwatch.filters.cbpf import LIVE, compile_program
from netwatch.filters.expression import Expression
from netwatch.filters.parse import parse
from netwatch.filters.split import split
from netwatch.model.errors import UsageError
from netwatch.runtime import libpcap


class KernelFilter(NamedTuple):
    """program: for the kernel, None: everything passes.   expression: for the records, None: none is left out.

    said: what the user is told, "" where the whole of it works as for a file.
    """

    program: bytes | None
    expression: Expression | None
    said: str = ""


def kernel_filter(text: str, snaplen: int, *, kernel: bool) -> KernelFilter:
    """Take a filter apart.

    netwatch's own language: the kernel leaves out what no matching record can hold, the records' filter decides. An
    expression too long for the kernel is left to the records alone; libpcap makes longer programs of the same terms.
    Other terms of tcpdump's language (`src host`, `tcp[13]`, `len`): libpcap's program decides in the kernel, and
    nothing afterwards; what tells names passes too, and shows as flows and lookups.
    kernel: whether the kernel may leave out anything: not where a policy has to see all, nor where the source takes no
    program. Raises UsageError, where neither language has it with what netwatch's own says of it.
    """
    try:
        expression = parse(text)
    except UsageError as own:
        if not kernel or not libpcap.available():
            raise
        try:
            program = libpcap.compile_live(text, snaplen, names=True)
        except UsageError as other:
            raise UsageError(f"{own}; nor does libpcap take it: {str(other).removeprefix('-f: ')}") from None
        said = "-f is tcpdump's language: libpcap's filter decides; packets that tell names (DNS, DHCP) pass as well"
        return KernelFilter(program, None, said)
    packets, _ = split(expression)
    if packets is None or not kernel:
        return KernelFilter(None, expression)
    program = compile_program(packets, LIVE, snaplen, names=True)
    if len(program) == INSTRUCTION.size:  # everything passes
        return KernelFilter(
            None, expression, "-f is too long for the kernel: all packets are read, records are filtered"
        )
    return KernelFilter(program, expression)
