import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.data.make.compact import disjoint, write_ranges, write_texts
from netwatch.model.limits import HOSTS
from netwatch.model.packets import NO_MAC
from netwatch.places.device import Vendors, is_random
from netwatch.runtime.datafiles import vendors

BLOCKS = [  # a 24-bit block of the registry's own, with a 28-bit and a 36-bit block inside; an ordinary one beside it
    (0x70B3D5_000000, 0x70B3D5_FFFFFF, 0),
    (0x70B3D5_000000, 0x70B3D5_0FFFFF, 1),
    (0x70B3D5_F2F000, 0x70B3D5_F2FFFF, 2),
    (0x70B3D6_000000, 0x70B3D6_FFFFFF, 3),
]
FILES = {
    "vendor.bin": write_ranges(disjoint(BLOCKS, 0), 64, 2),
    "vendor-names.bin": write_texts({1: "of 28 bits", 2: "of 36 bits", 3: "of 24 bits"}),
}


@pytest.mark.parametrize(
    ("mac", "vendor"),
    [
        (0x70B3D5_000000, "of 28 bits"),
        (0x70B3D5_0FFFFF, "of 28 bits"),
        (0x70B3D5_100000, None),
        (0x70B3D5_F2EFFF, None),
        (0x70B3D5_F2F000, "of 36 bits"),
        (0x70B3D5_F2FFFF, "of 36 bits"),
        (0x70B3D5_F30000, None),
        (0x70B3D5_FFFFFF, None),
        (0x70B3D6_000000, "of 24 bits"),
        (0x70B3D6_FFFFFF, "of 24 bits"),
        (0x70B3D7_000000, None),
        (0x70B3D4_FFFFFF, None),
    ],
)
def test_the_longest_block_decides(mac: int, vendor: str | None) -> None:
    assert Vendors(FILES.get).vendor(mac) == vendor


@pytest.mark.parametrize(
    ("mac", "vendor"),
    [
        (0x000000_123456, "XEROX CORPORATION"),
        (0x001B63_112233, "Apple, Inc."),
        (0xB827EB_000001, "Raspberry Pi Foundation"),
        (0x0050C2_7D5001, "DEUTA-WERKE GmbH"),  # a 36-bit block of the retired kind
        (0x70B3D5_F2F001, "TELEPLATFORMS"),
        (0x208593_B00001, "IOG Products LLC"),  # a 28-bit block
        (0x70B3D5_000000 | 0xFFF_FFF, None),
    ],
)
def test_known_blocks_of_the_shipped_table(mac: int, vendor: str | None) -> None:
    assert vendors().vendor(mac) == vendor


@given(st.integers(0, (1 << 48) - 1))
def test_an_address_that_a_device_chose_has_no_vendor(mac: int) -> None:
    own = (mac | 1 << 41) & ~(1 << 40)
    assert is_random(own)
    assert Vendors(FILES.get).vendor(own) is None
    assert not is_random(own & ~(1 << 41))
    assert not is_random(own | 1 << 40), "a group address is no device's"


@pytest.mark.parametrize("mac", [NO_MAC, 0xFFFF_FFFF_FFFF, 0x3333_0000_00FB, 0x0100_5E00_00FB, -1, 1 << 48])
def test_what_is_no_device_has_no_vendor_and_is_not_random(mac: int) -> None:
    assert vendors().vendor(mac) is None
    assert not is_random(mac)


def test_b5_without_the_table_every_vendor_is_unknown() -> None:
    assert Vendors({}.get).vendor(0x001B63_112233) is None


def test_remembered_vendors_are_bounded() -> None:
    table = Vendors({}.get)
    for mac in range(HOSTS + 10):
        table.vendor(mac)
    assert len(table._known) <= HOSTS
