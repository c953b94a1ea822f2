from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from support.hellos import V2, crypto, initial

from netwatch.names.initial import VERSIONS, derive, open_initial

DCID = bytes.fromhex("8394c8f03e515708")
# RFC 9001 appendix A.2: the ClientHello of the example
HELLO = bytes.fromhex(
    "010000ed0303ebf8fa56f12939b9584a3896472ec40bb863cfd3e86804fe3a47f06a2b69484c00000413011302010000c000000010000e00000b"
    "6578616d706c652e636f6dff01000100000a00080006001d0017001800100007000504616c706e000500050100000000003300260024001d0020"
    "9370b2c9caa47fbabaf4559fedba753de171fa71f50f1ce15d43e994ec74d748002b0003020304000d0010000e04030503060302030804080508"
    "06002d00020101001c00024001003900320408ffffffffffffffff05048000ffff07048000ffff0801100104800075300901100f088394c8f03e"
    "51570806048000ffff"
)


def test_keys_of_rfc_9001_appendix_a1() -> None:
    keys = derive(VERSIONS[1], DCID)
    assert keys is not None
    assert keys.key.hex() == "1f369613dd76d5467730efcbe3b1a22d"
    assert f"{keys.iv:024x}" == "fa044b2f42a3fd3b46fb255c"
    assert keys.hp.hex() == "9f50449e04a0e810283a1e9933adedd2"


def test_keys_of_rfc_9369_appendix_a1() -> None:
    keys = derive(VERSIONS[V2], DCID)
    assert keys is not None
    assert keys.key.hex() == "8b1a0bc121284290a29e0971b5cd045d"
    assert f"{keys.iv:024x}" == "91f73e2351d8fa91660e909f"
    assert keys.hp.hex() == "45b95e15235d6f45a6b19cbcb0294ba9"


def test_the_packet_of_rfc_9001_appendix_a2_opens() -> None:
    packet = initial(crypto(0, HELLO), number=2)
    assert packet[:48].hex() == (
        "c000000001088394c8f03e5157080000449e7b9aec34d1b1c98dd7689fb8ec11d242b123dc9bd8bab936b47d92ec356c"
    )
    assert packet[-16:].hex() == "e221af44860018ab0856972e194cd934"
    assert len(packet) == 1_200
    keys = derive(VERSIONS[1], DCID)
    assert keys is not None
    plain = open_initial(keys, packet, 0, 18, 1_200)
    assert plain is not None
    assert plain.rstrip(b"\0") == crypto(0, HELLO).rstrip(b"\0")


def test_the_packet_of_rfc_9369_appendix_a2_opens() -> None:
    packet = initial(crypto(0, HELLO), number=2, version=V2)
    assert packet[:48].hex() == (
        "d76b3343cf088394c8f03e5157080000449ea0c95e82ffe67b6abcdb4298b485dd04de806071bf03dceebfa162e75d6c"
    )
    keys = derive(VERSIONS[V2], DCID)
    assert keys is not None
    assert open_initial(keys, packet, 0, 18, 1_200) is not None


def test_p8_reserved_bits_that_are_set_open_nothing_whatever_the_tag() -> None:
    keys = derive(VERSIONS[1], DCID)
    assert keys is not None
    clear = initial(crypto(0, HELLO))
    for bits, opens in ((0x00, True), (0x04, False), (0x08, False), (0x0C, False)):
        header = bytes((0xC3 | bits,)) + clear[1:18] + bytes(4)
        sealed = AESGCM(keys.key).encrypt(keys.iv.to_bytes(12, "big"), crypto(0, HELLO).ljust(1_162, b"\0"), header)
        mask = Cipher(algorithms.AES(keys.hp), modes.ECB()).encryptor().update(sealed[:16])
        packet = bytes((header[0] ^ mask[0] & 0x0F,)) + header[1:18] + mask[1:5] + sealed
        assert (open_initial(keys, packet, 0, 18, 1_200) is not None) == opens


def test_a_wrong_tag_or_too_few_bytes_open_nothing() -> None:
    packet = initial(crypto(0, HELLO))
    keys = derive(VERSIONS[1], DCID)
    assert keys is not None
    for at in (0, 20, 600, 1_199):
        broken = bytearray(packet)
        broken[at] ^= 1
        assert open_initial(keys, bytes(broken), 0, 18, 1_200) is None
    for end in (18, 22, 37, 38, 54, 1_199):
        assert open_initial(keys, packet[:end], 0, 18, end) is None
