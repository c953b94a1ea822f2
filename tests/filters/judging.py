"""What the mask and the kernel program of an expression say of frames."""

from support import cbpf
from support.packets import batch

from netwatch.decode.fragments import Fragments
from netwatch.decode.packets import decode
from netwatch.filters.cbpf import compile_program
from netwatch.filters.expression import Expression
from netwatch.filters.packets import packet_mask
from netwatch.filters.parse import parse
from netwatch.model.packets import Packets

SNAPLEN = 65_535
ETHERNET, RAW, SLL, SLL2 = 1, 101, 113, 276


def program(
    expression: Expression | str | None, link_type: int = ETHERNET, *, names: bool = False, linux: bool = True
) -> bytes:
    expression = parse(expression) if isinstance(expression, str) else expression
    return compile_program(expression, link_type, SNAPLEN, names=names, linux=linux)


def decoded(some: list[bytes], link_type: int = ETHERNET) -> Packets:
    columns = batch(some, link_type)
    return Fragments().apply(decode(columns), columns.time)


def masked(expression: Expression, frame: bytes, link_type: int = ETHERNET) -> bool:
    return bool(packet_mask(expression, decoded([frame], link_type))[0])


def judged(expression: Expression | str, *some: bytes, link_type: int = ETHERNET) -> list[bool]:
    code = program(expression, link_type)
    return [cbpf.run(code, frame) > 0 for frame in some]
