"""Line protocol on plain sockets: every message arrives or is counted, one bad sender harms no other, a door that is behind slows TCP."""

from __future__ import annotations

import select
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance.config import LineProtocolSource
from appliance.errors import ConfigRefused, RetryLater
from appliance.sources import line_protocol
from appliance.sources.line_sockets import feeder as feeder_module
from appliance.sources.line_sockets import tcp as tcp_module
from appliance.sources.line_sockets import udp as udp_module
from appliance.sources.line_sockets.gather import Gather
from tests.running import wait_for
from tests.sources.listening import Listening, listening


@pytest.fixture
def ears(tmp_path: Path) -> Iterator[Listening]:
    with listening(tmp_path / "data") as made:
        yield made


def test_a_socket_that_can_t_listen_keeps_the_source_from_starting(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as connected:
        options = LineProtocolSource(udp="", tcp="127.0.0.1:0")
        with pytest.raises(OSError, match="Invalid argument"), listening(tmp_path / "data", options, inherited=(connected,)):
            raise AssertionError("a socket that is connected can't listen")


# --- both ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["udp", "tcp"])
def test_single_lines_arrive_each_once(ears: Listening, kind: str) -> None:
    with ears.udp() if kind == "udp" else ears.tcp() as sock:
        for i in range(2_000):
            sock.sendall(f"m,i={i} f={i}i {i}000\n".encode())
        wait_for(lambda: ears.status.records == 2_000, what="all lines")
    assert sorted(ears.values("m", "f")) == list(range(2_000))
    assert (ears.status.rejected, ears.status.dropped, ears.status.state) == (0, 0, "ok")


@pytest.mark.parametrize("kind", ["udp", "tcp"])
def test_bad_lines_become_dead_letters_and_good_ones_stay(ears: Listening, kind: str) -> None:
    with ears.udp() if kind == "udp" else ears.tcp() as sock:
        sock.sendall(b'm f=1 1000\r\nm f="open\n\xff\xfe\nbad\n# comment\n\nm f=2 2000\n')
        wait_for(lambda: ears.status.rejected == 3, what="three dead letters")
    assert ears.values("m", "f") == [1.0, 2.0]
    assert [raw for _, raw in ears.letters()] == [b'm f="open', b"\xff\xfe", b"bad"]


@pytest.mark.parametrize("kind", ["udp", "tcp"])
def test_lines_without_a_time_are_different_measurements(ears: Listening, kind: str) -> None:
    with ears.udp() if kind == "udp" else ears.tcp() as sock:
        for i in range(500):
            sock.sendall(f"room,sensor=a f={i}i\n".encode())
        wait_for(lambda: ears.count("room") == 500, what="all lines")
    found = ears.box.state.get("room")
    assert found is not None
    assert len({t for chunk in found.ring for t in chunk.data.column("ts").cast("int64").to_pylist()}) == 500
    assert not found.dirty


@pytest.mark.parametrize("kind", ["udp", "tcp"])
def test_a_refused_record_can_be_replayed_at_the_time_it_came(ears: Listening, kind: str) -> None:
    with ears.udp() if kind == "udp" else ears.tcp() as sock:
        sock.sendall(b"m f=1 1000\n")
        wait_for(lambda: ears.count("m") == 1, what="the first line")
        sock.sendall(b'm f="warm" 2000\nm f="hot"\n')
        wait_for(lambda: ears.status.rejected == 2, what="two refusals")
    first, second = (raw for _, raw in ears.letters())
    assert first == b'm f="warm" 2000'
    assert second.startswith(b'm f="hot" 1')
    assert len(second.split()[-1]) == 19


def test_one_address_may_be_off(tmp_path: Path) -> None:
    with listening(tmp_path / "data", LineProtocolSource(udp="", tcp="127.0.0.1:0")) as made:
        assert list(made.listener.ports) == ["tcp"]
    with listening(tmp_path / "other", LineProtocolSource(udp="", tcp="")) as made:
        assert made.status.state == "ok"


def test_an_address_in_use_is_refused_and_nothing_stays_open(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        made = Listening(tmp_path / "data", LineProtocolSource(udp="127.0.0.1:0", tcp=f"127.0.0.1:{taken.getsockname()[1]}"))
        with pytest.raises(ConfigRefused, match="can't listen on"):
            made.start()
        assert made.listener.ports == {}
        made.close()


def test_sockets_of_systemd_are_used_as_they_are(tmp_path: Path) -> None:
    tcp, udp = socket.socket(), socket.socket(type=socket.SOCK_DGRAM)
    for sock in (tcp, udp):
        sock.bind(("127.0.0.1", 0))
    tcp.listen()
    ports = {"tcp": tcp.getsockname()[1], "udp": udp.getsockname()[1]}
    with listening(tmp_path / "data", inherited=(tcp, udp)) as made:
        assert made.listener.ports == ports
        with made.tcp() as one, made.udp() as other:
            one.sendall(b"m f=1 1\n")
            other.sendall(b"m f=2 2000")
            wait_for(lambda: made.count("m") == 2, what="both lines")


@pytest.mark.parametrize("kind", ["udp", "tcp"])
def test_what_was_read_is_brought_in_at_the_end(ears: Listening, kind: str) -> None:
    ears.door.hold.clear()
    with ears.udp() if kind == "udp" else ears.tcp() as sock:
        for i in range(3_000):
            sock.sendall(f"m f={i}i {i}000\n".encode())
        if kind == "tcp":
            sock.shutdown(socket.SHUT_WR)
            assert sock.recv(1) == b"", "the listener has read to the end"
        ears.stop()
    assert ears.count("m") == 3_000


def test_a_door_that_refuses_is_asked_again_until_it_takes(ears: Listening) -> None:
    ears.door.refuse = RetryLater("the disk is full", after_s=0)
    with ears.udp() as sock:
        sock.sendall(b"m f=1 1")
        wait_for(lambda: ears.door.submissions > 3, what="several tries")
        assert ears.status.state == "paused"
        assert "the disk is full" in ears.status.detail
        ears.door.refuse = None
        wait_for(lambda: ears.count("m") == 1, what="the line")
    wait_for(lambda: ears.status.state == "ok", what="the state to be well again")


def test_what_the_door_does_not_take_before_the_end_is_counted(ears: Listening, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeder_module, "STOP_TRIES_MAX", 1)
    ears.door.refuse = RetryLater("the disk is full", after_s=0)
    with ears.udp() as sock:
        for _ in range(7):
            sock.sendall(b"m f=1 1")
    wait_for(lambda: "7 datagrams" in ears.status.detail, what="the datagrams")
    ears.stop()
    assert ears.status.dropped == 7


def test_a_defect_of_the_parser_keeps_the_lines_and_the_thread(ears: Listening, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_args: object, **_more: object) -> object:
        raise IndexError("a defect")

    monkeypatch.setattr(feeder_module, "parse", broken)
    with ears.udp() as sock:
        sock.sendall(b"m f=1 1")
        wait_for(lambda: ears.status.rejected == 1, what="the dead letter")
        monkeypatch.undo()
        sock.sendall(b"m f=2 2000")
        wait_for(lambda: ears.count("m") == 1, what="the next line")
    assert ears.letters()[0][1] == b"m f=1 1\n"


# --- datagrams ----------------------------------------------------------------------------------------------------------------


def test_a_datagram_may_hold_several_lines_and_lack_the_last_newline(ears: Listening) -> None:
    with ears.udp() as sock:
        for datagram in (b"m f=1 1000\nm f=2 2000", b"", b"m f=3 3000\n", b"\n", b"m f=4 4000", b'm s="x" 5000'):
            sock.send(datagram)
        wait_for(lambda: ears.count("m") == 5, what="five lines")
    assert ears.status.rejected == 0


def test_the_largest_datagram_is_taken_whole(ears: Listening) -> None:
    line = b'm s="' + b"x" * (65_507 - 11) + b'" 1000'
    with ears.udp() as sock:
        assert sock.send(line) == 65_507
        wait_for(lambda: ears.count("m") == 1, what="the line")
    assert ears.values("m", "s") == ["x" * (65_507 - 11)]


def test_a_flood_is_received_or_counted_to_the_last_datagram(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(udp_module, "RECEIVE_BUFFER_BYTES", 4_096)
    monkeypatch.setattr(line_protocol, "GATHER_BYTES_MAX", 64 * 1024)
    with listening(tmp_path / "data") as ears, ears.udp() as sock:
        ears.door.hold.clear()
        sent = 20_000
        for i in range(sent):
            sock.send(f"m,i={i} f={i}i {i}000".encode())
        wait_for(lambda: _read_and_dropped(ears) >= sent, what="every datagram to be read or dropped")
        ears.door.hold.set()
        wait_for(lambda: ears.status.records + ears.status.dropped == sent, what="every datagram to be accounted for")
        assert ears.status.dropped > 0
        assert ears.count("m") == ears.status.records
        assert "dropped" in ears.status.detail
        dropped = ears.status.dropped
        ears.stop()
        assert ears.status.dropped == dropped


def _read_and_dropped(ears: Listening) -> int:
    reader = ears.listener._udp._reader  # type: ignore[union-attr]
    return reader.datagrams + reader.dropped_by_kernel()


def test_the_kernels_own_count_rides_on_the_next_datagram(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(udp_module, "_drops_of", lambda _sock: 0)
    gather = Gather(bytes_max=1 << 20)
    with socket.socket(type=socket.SOCK_DGRAM) as sock, socket.socket(type=socket.SOCK_DGRAM) as sender:
        sock.bind(("127.0.0.1", 0))
        sock.setblocking(False)
        monkeypatch.setattr(udp_module, "RECEIVE_BUFFER_BYTES", 4_096)
        reader = udp_module.UdpReader(sock, gather)
        for _ in range(500):
            sender.sendto(b"m f=1 1", sock.getsockname())
        reader.start()
        wait_for(lambda: gather.bytes > 0, what="what the kernel kept")
        sender.sendto(b"m f=1 1", sock.getsockname())
        wait_for(lambda: reader.dropped_by_kernel() + reader.datagrams == 501, what="the count")
        assert reader.dropped_by_kernel() > 0
        reader.stop()


def test_the_receive_buffer_that_the_kernel_gave_is_told(ears: Listening) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as plain:
        assert f"receive buffer {plain.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) >> 10} KiB" not in ears.status.detail
    assert "receive buffer" in ears.status.detail


# --- connections --------------------------------------------------------------------------------------------------------------


def test_lines_may_be_cut_anywhere_between_packets(ears: Listening) -> None:
    content = b"".join(b"m,i=%d f=%di %d000\n" % (i, i, i) for i in range(200))
    with ears.tcp() as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, len(content), 7):
            sock.sendall(content[start : start + 7])
        wait_for(lambda: ears.count("m") == 200, what="all lines")
    assert ears.values("m", "f") == list(range(200))


def test_a_last_line_without_newline_is_taken_when_the_sender_ends(ears: Listening) -> None:
    with ears.tcp() as sock:
        sock.sendall(b"m f=1 1000\nm f=2 2000")
        wait_for(lambda: ears.count("m") == 1, what="the first line")
    wait_for(lambda: ears.count("m") == 2, what="the last line")


@pytest.mark.parametrize("how", ["broken", "stopped"])
def test_a_line_cut_off_by_the_end_of_its_connection_is_not_taken_for_a_whole_one(ears: Listening, how: str) -> None:
    sock = ears.tcp()
    sock.sendall(b"m f=1 1000\nm f=21")
    wait_for(lambda: ears.count("m") == 1, what="the first line")
    if how == "broken":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
        wait_for(lambda: ears.status.rejected == 1, what="the dead letter")
    else:
        ears.stop()
        sock.close()
    assert ears.count("m") == 1
    ((reason, raw),) = ears.letters()
    assert raw == b"m f=21"
    assert "in the middle of this line" in reason


def test_a_line_beyond_the_limit_is_a_dead_letter_and_the_connection_goes_on(ears: Listening) -> None:
    with ears.tcp() as sock:
        sock.sendall(b'm f=1 1000\nm s="' + b"x" * (3 * 1024 * 1024) + b'" 2000\nm f=3 3000\n')
        wait_for(lambda: ears.count("m") == 2, what="the lines around it")
    ((reason, raw),) = ears.letters()
    assert raw == b'm s="' + b"x" * (64 * 1024 - 5)
    assert "has no end after" in reason
    assert ears.values("m", "f") == [1.0, 3.0]


def test_unfinished_lines_of_all_connections_together_are_bounded(ears: Listening, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp_module, "CARRY_BYTES_MAX", 200_000)
    socks = [ears.tcp() for _ in range(10)]
    for sock in socks:
        sock.sendall(b"x" * 100_000)
    listener = ears.listener._tcp._listener  # type: ignore[union-attr]
    wait_for(lambda: ears.status.rejected >= 8, what="the lines that have no room")
    assert listener.carried <= 300_000
    for number, sock in enumerate(socks):
        sock.sendall(f"\nm,i={number} f=1 1000\n".encode())
    wait_for(lambda: ears.count("m") == 10, what="every connection to go on")
    for sock in socks:
        sock.close()


def test_one_connection_too_many_is_closed_and_counted(ears: Listening, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp_module, "CONNECTIONS_MAX", 2)
    first, second = ears.tcp(), ears.tcp()
    wait_for(lambda: "2 connections" in ears.status.detail, what="two connections")
    with ears.tcp() as third:
        wait_for(lambda: _is_closed(third), what="the third to be closed")
    assert "1 turned away" in ears.status.detail
    first.sendall(b"m f=1 1\n")
    wait_for(lambda: ears.count("m") == 1, what="the others to be served")
    first.close()
    second.close()


def _is_closed(sock: socket.socket) -> bool:
    try:
        return sock.recv(1) == b""
    except ConnectionResetError:
        return True


def test_while_the_door_is_behind_senders_are_slowed_and_nothing_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line_protocol, "GATHER_BYTES_MAX", 1024 * 1024)
    with listening(tmp_path / "data") as ears, ears.tcp() as sock:
        ears.door.behind = True
        lines = [b'm,i=%d s="%s" %d000\n' % (i, b"x" * 1000, i) for i in range(30_000)]
        sending = threading.Thread(target=_send_all(sock, lines))  # noqa: TID251 - a sender that blocks
        sending.start()
        wait_for(lambda: ears.status.state == "paused" and "0 connections" not in ears.status.detail, what="the pause")
        wait_for(lambda: not select.select([], [sock], [], 0)[1], what="the kernel's buffer to be full, too")
        assert sending.is_alive(), "30 MB fit neither in the buffer nor in the kernel's"
        gathered = ears.listener._tcp._feeder.gather.bytes  # type: ignore[union-attr]
        assert gathered <= 1024 * 1024
        ears.door.behind = False
        sending.join(60)
        wait_for(lambda: ears.count("m") == len(lines), what="all lines")


def _send_all(sock: socket.socket, lines: list[bytes]) -> Callable[[], None]:
    def send() -> None:
        sock.settimeout(60)
        for line in lines:
            sock.sendall(line)

    return send


# --- the buffer ---------------------------------------------------------------------------------------------------------------


def test_a_gather_takes_what_has_room_and_gives_it_in_order() -> None:
    gather = Gather(bytes_max=10)
    assert gather.add(b"a\n", messages=1)
    assert gather.add(b"bbbbbbb\n", messages=2)
    assert not gather.add(b"c\n", messages=1)
    taken = gather.take()
    assert (taken.lines, taken.messages) == (b"a\nbbbbbbb\n", 3)
    assert gather.add(b"x" * 100, messages=1), "one piece is always taken, or nothing would ever move"
    gather.close()
    assert gather.wait()
    gather.take()
    assert not gather.wait()
