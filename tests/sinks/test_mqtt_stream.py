"""The bytes between us and a broker, told apart from paho's however the network cuts them."""

import socket

import pytest

from gateway.sinks.mqtt.stream import Stream, publish_packet
from gateway.sinks.mqtt.topics import packet_size

CONNACK = bytes.fromhex("200600000321000a")
PINGRESP = bytes.fromhex("d000")
TAKEN, UNHEARD = bytes.fromhex("40020007"), bytes.fromhex("40030108 10")
REFUSED = bytes.fromhex("40080009 97 04 1f 0001 78")  # with a reason string
NO_CODE = bytes.fromhex("4003000a 55")


PING = bytes.fromhex("c000")


@pytest.fixture
def ends():
    """A stream and the broker's end of its socket."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    told = []
    yield Stream(ours, lambda: told.append("unsent")), theirs, told
    ours.close()
    theirs.close()


@pytest.fixture
def greeted(ends):
    """The same after CONNACK."""
    heard(ends, CONNACK)
    assert CONNACK == foreign(ends[0])
    return ends


def heard(ends, sent):
    """Let the stream read this; give the acknowledgements in it."""
    stream, broker, _ = ends
    broker.sendall(sent)
    acks = []
    for _ in range(len(sent) // 16_384 + 1):
        stream.fill()
        acks += stream.acknowledged()
    return acks


def foreign(stream):
    """Read all that is paho's."""
    read = b""
    while stream.has_news:
        read += stream.recv(3)
    return read


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 1000])
def test_acknowledgements_are_told_apart_however_they_are_cut(ends, size):
    """Each PUBACK is ours once and in order, and every other byte is paho's, in whatever pieces they come."""
    stream, broker, _ = ends
    stream.send(PING)
    stream.send(PING)
    sent = CONNACK + TAKEN + PINGRESP + UNHEARD + REFUSED + PINGRESP
    acks, rest = [], b""
    for at in range(0, len(sent), size):
        broker.sendall(sent[at : at + size])
        stream.fill()
        acks += stream.acknowledged()
        rest += foreign(stream)
    assert [(7, 0), (0x108, 0x10), (9, 0x97)] == acks
    assert CONNACK + PINGRESP + PINGRESP == rest


@pytest.mark.parametrize("odd", [NO_CODE, b"\x40\x01\x07", b"\x43\x02\x00\x07", b"\x40\xff\xff\xff\xff\xff"])
def test_what_is_no_acknowledgement_is_not_believed(greeted, odd):
    """A PUBACK that MQTT does not know acknowledges nothing, is named, and nothing after it is read."""
    assert [(7, 0)] == heard(greeted, TAKEN + odd + TAKEN)
    assert greeted[0].nonsense
    assert not greeted[0].nonsense.unasked
    assert b"" == foreign(greeted[0])
    assert [] == heard(greeted, TAKEN)


@pytest.mark.parametrize(
    ("unasked", "name"),
    [
        (b"\x30\x04\x00\x01ax", "PUBLISH"),
        (b"\x32\x06\x00\x01a\x00\x07x", "PUBLISH"),
        (b"\x34\xff\xff\xff\x7f\x00\x01a\x00\x07", "PUBLISH"),
        (b"\x62\x02\x00\x07", "PUBREL"),
        (b"\x90\x03\x00\x01\x00", "SUBACK"),
        (b"\xf0\x00", "AUTH"),
        (CONNACK, "a second CONNACK"),
        (PINGRESP, "PINGRESP without a ping"),
    ],
)
def test_what_nobody_asked_for_never_gets_to_paho(greeted, unasked, name):
    """Whatever answers nothing of ours is known by its first byte, named, and not kept."""
    assert [(7, 0)] == heard(greeted, TAKEN + unasked + TAKEN)
    assert (True, name) == (greeted[0].nonsense.unasked, greeted[0].nonsense.what)
    assert b"" == foreign(greeted[0])


def test_each_ping_has_one_answer(greeted):
    """PINGRESP is for paho as often as paho asked, and not once more."""
    stream = greeted[0]
    for _ in range(2):
        stream.send(PING)
        assert [] == heard(greeted, PINGRESP)
        assert PINGRESP == foreign(stream)
        assert stream.nonsense is None
    stream.send(PING)
    heard(greeted, PINGRESP * 2)
    assert "PINGRESP without a ping" == stream.nonsense.what


@pytest.mark.parametrize("kind", [0x40, 0xE0])
def test_an_answer_has_a_longest_length(greeted, kind):
    """What says that it is longer than any honest answer is ended at its head; the longest one is read."""
    stream = greeted[0]
    heard(greeted, bytes([kind]) + b"\xfd\x1f\x00\x07" + bytes(4_091))  # 4,096 bytes in all
    assert stream.nonsense is None
    heard(greeted, bytes([kind]) + b"\xfe\x1f")
    assert "a packet of 4097 bytes" == stream.nonsense.what


@pytest.mark.parametrize(
    "first", [b"\x40\x02\x00\x07", b"\x30\x04\x00\x01ax", b"HTTP/1.1 400 Bad\r\n\r\n", b"\x00\x00"]
)
def test_nothing_comes_before_connack(ends, first):
    """What does not begin with CONNACK is no broker."""
    assert [] == heard(ends, first)
    assert not ends[0].nonsense.unasked
    assert b"" == foreign(ends[0])


def test_what_came_before_the_end_is_read_before_it(greeted):
    """The end of a connection is told after the last acknowledgement and never instead of it."""
    stream, broker, _ = greeted
    broker.sendall(TAKEN)
    broker.close()
    stream.fill()
    stream.fill()
    assert [(7, 0)] == list(stream.acknowledged())
    assert stream.has_news
    assert b"" == stream.recv(1)


def test_packets_of_both_keep_their_order_while_there_is_no_room(ends):
    """A full socket holds everything back in one line: no packet begins within another."""
    stream, broker, told = ends
    packets = [bytes([number]) * 50_000 for number in range(20)]
    for number, packet in enumerate(packets):
        if number % 2:
            stream.send(packet)
        else:
            stream.put(packet)
    assert stream.unsent
    assert told
    read = b""
    while len(read) < 20 * 50_000:
        stream.flush()
        read += broker.recv(100_000)
    assert b"".join(packets) == read
    assert not stream.unsent


def test_a_failed_write_leaves_the_telling_to_the_reading(ends):
    """A broker that is gone costs no exception where a packet is written, and nothing is kept for it."""
    stream, broker, _ = ends
    broker.close()
    for _ in range(3):
        stream.put(b"x" * 10)
        stream.flush()
    assert stream.failed
    assert not stream.unsent
    stream.fill()
    assert stream.has_news


@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize("size", [0, 100, 115, 127, 128, 16_383, 16_400, 2_097_152])
def test_a_packet_is_as_long_as_was_foretold(size, version):
    """What is judged by a broker's largest packet is the packet that is sent, to the byte."""
    packet = publish_packet("gateway/gw/tür/event", b"x" * size, 515, retain=size == 100, version=version)
    assert packet_size("gateway/gw/tür/event", b"x" * size, version) == len(packet)
    assert (0x33 if size == 100 else 0x32) == packet[0]
    assert b"\x02\x03" in packet[:40]
