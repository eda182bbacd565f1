"""kactl decode: captures that scapy wrote, vectors from elsewhere, and whether the agent would take what is in them."""

from __future__ import annotations

import io
import json
import socket
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import CookedLinux, Dot1Q, Ether
from scapy.layers.vrrp import VRRP
from scapy.utils import wrpcap, wrpcapng

from kactl.app import run
from kactl.capture.files import CaptureFault, Frame, frames
from kactl.capture.ipvs_sync import SyncFault
from kactl.capture.ipvs_sync import decode as decode_sync
from kactl.capture.layers import packet_of
from kactl.capture.verdicts import Onlooker
from kactl.environment import Environment
from kactl.exit_codes import ExitCode
from kactl_agent.bfd.auth import Authenticator
from kactl_agent.bfd.packet import encode as encode_bfd
from kactl_agent.bfd.settings import AuthKey, AuthSettings, AuthType
from kactl_agent.vrrp.auth_hmac import Authenticator as Hmac
from kactl_agent.vrrp.packet import IPV4_GROUP, Advert, encode
from kactl_agent.vrrp.settings import SECOND, ChecksumForm, HmacKey, HmacMode, HmacSettings
from support.bfd import packet as bfd_packet
from support.vrrp import make_settings, packed

SOURCE = "192.0.2.1"
ETHER = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")  # or scapy asks the network for them
WALL = 1_767_225_600 * SECOND
BFD = bytes.fromhex("21c0031800000006000000070000ea600000ea6000000000")


def vrrp(payload: bytes, source: str = SOURCE, ttl: int = 255, destination: str = "224.0.0.18") -> Any:
    return IP(src=source, dst=destination, ttl=ttl, proto=112) / payload


def v3(form: ChecksumForm, vrid: int = 51) -> bytes:
    advert = Advert(
        version=3, virtual_router_id=vrid, priority=100, advert_interval=SECOND, addresses=(packed("192.0.2.9"),)
    )
    return encode(advert, packed(SOURCE), IPV4_GROUP, form)


def udp(payload: bytes, port: int = 3784, ttl: int = 255, source: str = SOURCE) -> Any:
    return IP(src=source, dst="192.0.2.2", ttl=ttl) / UDP(sport=50000, dport=port) / payload


def decoded(tmp_path: Path, *packets: Any, config: str = "", name: str = "capture.pcap") -> list[dict[str, Any]]:
    path = tmp_path / name
    (wrpcapng if name.endswith("ng") else wrpcap)(str(path), [ETHER / p for p in packets])
    return called(str(path), *_config(tmp_path, config))


def _config(tmp_path: Path, text: str) -> list[str]:
    if not text:
        return []
    (tmp_path / "agent.yaml").write_text(text)
    return ["--config", str(tmp_path / "agent.yaml")]


def call(*words: str, stdin: bytes = b"") -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    code = run(["decode", *words], Environment(stdin=io.BytesIO(stdin), stdout=out, stderr=err, variables={}))
    return code, out.getvalue(), err.getvalue()


def called(*words: str, stdin: bytes = b"") -> list[dict[str, Any]]:
    code, out, err = call(*words, "--output", "json", stdin=stdin)
    assert code == ExitCode.FINE, err
    return [json.loads(line) for line in out.splitlines()]


# -- VRRP --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ChecksumForm)
def test_both_checksums_of_version_3_over_ipv4(tmp_path: Path, form: ChecksumForm) -> None:
    [seen] = decoded(tmp_path, vrrp(v3(form)))
    assert (seen["kind"], seen["virtual_router_id"], seen["addresses"]) == ("VRRPv3", 51, ["192.0.2.9"])
    right = {name: seen["checksum"][name]["right"] for name in ("message_only", "pseudo_header")}
    assert right == {
        "message_only": form is ChecksumForm.MESSAGE_ONLY, "pseudo_header": form is ChecksumForm.PSEUDO_HEADER,
    }  # fmt: skip
    assert seen["accepted"] is True


def test_a_wrong_checksum_and_a_ttl(tmp_path: Path) -> None:
    data = bytearray(v3(ChecksumForm.PSEUDO_HEADER))
    data[6] ^= 1
    wrong, far = decoded(tmp_path, vrrp(bytes(data)), vrrp(v3(ChecksumForm.PSEUDO_HEADER), ttl=254))
    assert (wrong["accepted"], wrong["reason"]) == (False, "checksum")
    assert not any(each["right"] for each in wrong["checksum"].values() if isinstance(each, dict))
    assert (far["accepted"], far["reason"], far["detail"]) == (False, "ttl", "TTL 254 is not 255")


def test_version_2_with_a_password(tmp_path: Path) -> None:
    config = """
vrrp_instance:
  VI_1: {interface: eth0, virtual_router_id: 51, priority: 50, authentication: {auth_type: PASS, auth_pass: SECRET},
         virtual_ipaddress: [192.0.2.9/24]}
"""
    adverts = [
        IP(src=SOURCE, dst="224.0.0.18", ttl=255, proto=112)
        / VRRP(vrid=51, priority=100, addrlist=["192.0.2.9"], authtype=1, auth1=auth1, auth2=auth2)
        for auth1, auth2 in ((0x53454352, 0x45540000), (0x57524F4E, 0x47000000))
    ]
    right, wrong = decoded(tmp_path, *adverts, config=config)
    assert (right["accepted"], right["subject"]) == (True, "vrrp_instance VI_1")
    assert (wrong["accepted"], wrong["reason"]) == (False, "auth_failure")
    [unknown] = decoded(tmp_path, adverts[0])
    assert unknown["accepted"] is None
    assert "--config" in unknown["detail"]
    assert "SECR" not in json.dumps([right, wrong, unknown])


def test_an_instance_that_nobody_has(tmp_path: Path) -> None:
    config = "vrrp_instance:\n  VI_1: {interface: eth0, virtual_router_id: 9, virtual_ipaddress: [192.0.2.9/24]}\n"
    [seen] = decoded(tmp_path, vrrp(v3(ChecksumForm.PSEUDO_HEADER)), config=config)
    assert (seen["accepted"], seen["reason"]) == (False, "virtual_router_id")


def test_auth_hmac_is_verified_and_a_replay_noticed(tmp_path: Path) -> None:
    key = "0123456789abcdef0123456789abcdef"
    config = f"""
vrrp_instance:
  VI_1: {{interface: eth0, virtual_router_id: 51, version: 3, virtual_ipaddress: [192.0.2.9/24],
          auth_hmac: {{key: [{{id: 3, key: {key}}}], active_key: 3, anti_replay: monotonic}}}}
"""
    hmac = HmacSettings(
        keys=(HmacKey(3, key.encode()),), active_key=3, time_window=5, monotonic=True, mode=HmacMode.ENFORCE
    )
    message = v3(ChecksumForm.PSEUDO_HEADER)
    signed = vrrp(message + Hmac(make_settings(version=3, auth_hmac=hmac)).trailer(message, packed(SOURCE), WALL))
    first, again, bare = decoded(tmp_path, signed, signed, vrrp(message), config=config)
    assert (first["accepted"], first["auth_hmac"]["key_id"]) == (True, 3), first
    assert (again["accepted"], again["reason"]) == (False, "auth_hmac_replay")
    assert (bare["accepted"], bare["reason"]) == (False, "auth_hmac_missing")


# -- BFD ---------------------------------------------------------------------------------------------------------------


def test_bfd_without_a_configuration(tmp_path: Path) -> None:
    fine, far, none = decoded(tmp_path, udp(BFD), udp(BFD, ttl=64), udp(BFD[:10]), name="capture.pcapng")
    assert (fine["state"], fine["diagnostic"], fine["detect_mult"]) == ("Up", "Control Detection Time Expired", 3)
    assert (fine["accepted"], fine["desired_min_tx_ms"]) == (True, 60.0)
    assert (far["accepted"], far["reason"]) == (False, "ttl")
    assert (none["accepted"], none["reason"]) == (False, "length")


@pytest.mark.parametrize("hop_limit", [63, 64, 254, 255])
@pytest.mark.parametrize("configured", [False, True])
def test_bfd_over_ipv6_is_taken_with_the_hop_limit_that_keepalived_sends(
    tmp_path: Path, hop_limit: int, configured: bool
) -> None:
    packet = IPv6(src="2001:db8::1", dst="2001:db8::2", hlim=hop_limit) / UDP(sport=50000, dport=3784) / BFD
    config = "bfd_instance:\n  b1: {neighbor_ip: 2001:db8::1}\n" if configured else ""
    [seen] = decoded(tmp_path, packet, config=config)
    assert seen["accepted"] is (hop_limit >= 64)
    if not configured:
        assert ("hop limit" in seen["detail"]) is (hop_limit < 255)


def test_bfd_authentication_by_the_agents_own_checks(tmp_path: Path) -> None:
    keys = AuthSettings(AuthType.METICULOUS_KEYED_SHA1, (AuthKey(1, b"secret"),), 1)
    sender = Authenticator(keys, 7)
    one, other = (udp(sender.sign(encode_bfd(bfd_packet(), sender.length))) for _ in range(2))
    config = f"bfd_instance:\n  b1: {{neighbor_ip: {SOURCE}, authentication: {{key: [{{id: 1, key: secret}}]}}}}\n"
    first, second, replay, bare = decoded(tmp_path, one, other, one, udp(BFD), config=config)
    assert [s["accepted"] for s in (first, second)] == [True, True]
    assert (first["authentication"], first["sequence"], first["subject"]) == (
        "meticulous_keyed_sha1", 8, "bfd_instance b1",
    )  # fmt: skip
    assert (replay["accepted"], replay["reason"]) == (False, "auth_sequence")
    assert (bare["accepted"], bare["reason"]) == (False, "auth_missing")
    [stranger] = decoded(tmp_path, udp(BFD, source="192.0.2.77"), config=config)
    assert stranger["reason"] == "unknown_neighbor"


# -- IPVS --------------------------------------------------------------------------------------------------------------


def sync(sync_id: int = 51, version: int = 1, family: int = 4) -> bytes:
    width = 4 if family == 4 else 16
    addresses = b"".join(bytes([number]) * width for number in (1, 2, 3))
    if version == 1:
        length = 24 + len(addresses)
        body = struct.pack("!BBHIHHHHII", int(family == 6), 6, length, 0x100, 7, 40000, 80, 8080, 0, 900) + addresses
        return struct.pack("!BBHBBH", 0, sync_id, 8 + len(body), 1, 1, 0) + body
    body = struct.pack("!BBHHH", 0, 6, 40000, 80, 8080) + addresses + struct.pack("!HH", 0x100, 7)
    return struct.pack("!BBH", 1, sync_id, 4 + len(body)) + body


@pytest.mark.parametrize(("version", "family"), [(1, 4), (1, 6), (0, 4)])
def test_ipvs_sync_messages(tmp_path: Path, version: int, family: int) -> None:
    config = "global_defs: {lvs_sync_daemon: {interface: eth0, id: 51}}\n"
    mine = udp(sync(version=version, family=family), 8848)
    seen, other = decoded(tmp_path, mine, udp(sync(9), 8848), config=config)
    [connection] = seen["connections"]
    one = "1.1.1.1:40000" if family == 4 else "[101:101:101:101:101:101:101:101]:40000"
    assert (connection["client"], connection["protocol"], connection["state"]) == (one, 6, 7)
    assert (seen["accepted"], seen["version"]) == (True, version)
    assert (other["accepted"], other["reason"]) == (False, "sync_id")


@given(st.binary(max_size=120))
def test_any_bytes_are_a_sync_message_or_a_fault(data: bytes) -> None:
    try:
        decode_sync(data)
    except SyncFault:
        return


def test_a_sync_message_cut_short_at_every_offset() -> None:
    for data in (sync(), sync(version=0), sync(family=6)):
        for end in range(len(data)):
            with pytest.raises(SyncFault):
                decode_sync(data[:end])


# -- captures ----------------------------------------------------------------------------------------------------------


def test_link_layers(tmp_path: Path) -> None:
    path = tmp_path / "links.pcap"
    for layers in (ETHER / Dot1Q(vlan=7) / udp(BFD), CookedLinux() / udp(BFD)):
        wrpcap(str(path), [layers])
        assert called(str(path))[0]["kind"] == "BFD"
    six = ETHER / IPv6(src="fe80::1", dst="fe80::2", hlim=255) / UDP(sport=50000, dport=3784) / BFD
    wrpcap(str(path), [six])
    assert called(str(path))[0]["source"] == "fe80::1"


def test_hexadecimal_packets_from_standard_input() -> None:
    data = bytes(udp(BFD))
    dump = "12:00:00.000000 IP 192.0.2.1.50000 > 192.0.2.2.3784: BFDv1\n" + "".join(
        f"\t0x{at:04x}:  {data[at : at + 16].hex(' ', 2)}\n" for at in range(0, len(data), 16)
    )
    text = f"# two packets\n{data.hex()}\n{(bytes(ETHER / udp(BFD))).hex(' ')}\n{dump}"
    seen = called("-", stdin=text.encode())
    assert [each["kind"] for each in seen] == ["BFD"] * 3


def test_text_says_the_verdict(tmp_path: Path) -> None:
    path = tmp_path / "capture.pcap"
    wrpcap(str(path), [ETHER / vrrp(v3(ChecksumForm.MESSAGE_ONLY)), ETHER / udp(BFD, ttl=9)])
    code, out, _ = call(str(path))
    assert code == ExitCode.FINE
    assert "message only" in out
    assert "pseudo header" in out
    assert "(right)" in out
    assert "-> taken" in out
    assert "-> discarded (ttl): TTL 9 is less than 255" in out
    assert out.count("#") == 2


def test_count_stops(tmp_path: Path) -> None:
    path = tmp_path / "capture.pcap"
    wrpcap(str(path), [ETHER / udp(BFD)] * 5)
    assert len(called(str(path), "--count", "2")) == 2


@pytest.mark.parametrize("data", [b"\xff\xfe\x00\x01", b"hello world\n", bytes.fromhex("d4c3b2a1") + bytes(3)])
def test_what_is_no_capture(data: bytes) -> None:
    code, out, err = call("-", stdin=data)
    assert (code, out) == (ExitCode.INVALID, "")
    assert err


def test_a_configuration_with_errors_is_said(tmp_path: Path) -> None:
    config = tmp_path / "agent.yaml"
    config.write_text("bfd_instance:\n  b1: {neighbor_ip: nonsense}\n")
    code, _, err = call("-", "--config", str(config))
    assert code == ExitCode.INVALID
    assert "agent.yaml:2:" in err


@given(st.binary(max_size=300), st.sampled_from(["d4c3b2a1", "a1b2c3d4", "0a0d0d0a1c0000004d3c2b1a", ""]))
def test_any_capture_is_read_or_refused(data: bytes, start: str) -> None:
    try:
        for frame in frames(bytes.fromhex(start) + data):
            read = packet_of(frame)
            if read is not None:
                Onlooker().judge(read)
    except CaptureFault:
        return


@given(st.binary(max_size=200), st.sampled_from([112, 51, 17]), st.sampled_from([3784, 4784, 3785, 8848]))
def test_no_payload_ends_it(payload: bytes, protocol: int, port: int) -> None:
    body = struct.pack("!HHHH", 50000, port, 8 + len(payload), 0) + payload if protocol == 17 else payload
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(body), 0, 0, 255, protocol, 0, b"\1\2\3\4", b"\xe0\0\0\x12")
    read = packet_of(Frame(0, 101, header + body))
    assert read is not None
    Onlooker().judge(read)


def test_an_interface_that_is_not_there() -> None:
    code, out, err = call("kactl-none0", "--live")
    assert (code, out) == (ExitCode.FAILED, "")
    assert "kactl-none0: No such device" in err or "CAP_NET_RAW" in err


def test_listening_needs_a_privilege_or_works() -> None:
    """On the loopback interface, where a packet of ours is seen."""
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).close()
    except PermissionError:
        assert call("lo", "--live")[0] == ExitCode.FAILED
        return
    import sys

    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    command = [sys.executable, "-m", "kactl", "decode", "lo", "--live", "--count", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as listening:
        try:
            while listening.poll() is None:
                sender.sendto(BFD, ("127.0.13.9", 3784))
                try:
                    listening.wait(0.1)
                except subprocess.TimeoutExpired:
                    continue
            assert listening.stdout is not None
            assert "BFD" in listening.stdout.read()
        finally:
            listening.kill()
            sender.close()
