"""What the real keepalived makes of interfaces and sockets, by its state dump, is what the agent makes of them."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from kactl.keepalived_conf.load import load
from kactl_agent.config.resolve import resolve
from support import keepalived_peer
from support.keepalived_peer import Job, observe

pytestmark = [
    pytest.mark.keepalived,
    pytest.mark.root,
    pytest.mark.skipif(shutil.which("keepalived") is None, reason="keepalived is not installed"),
]

CONF = """
global_defs {
    vrrp_rx_bufs_policy ADVERT
    vrrp_rx_bufs_multiplier 2
}
interface_up_down_delays {
    eth0 10
    eth1 0.5
    eth2 3
}
vrrp_instance A {
    interface eth0
    virtual_router_id 5
    version 3
    advert_int 1
    virtual_ipaddress {
        192.0.2.1/24
        192.0.2.2/24
    }
}
vrrp_instance B {
    interface eth1
    virtual_router_id 6
    version 3
    advert_int 0.5
    down_timer_adverts 5
    kernel_rx_buf_size 5000
    virtual_ipaddress {
        192.0.2.3/24
    }
}
vrrp_instance C {
    interface eth2
    virtual_router_id 7
    version 3
    down_timer_adverts 1
    virtual_ipaddress {
        192.0.2.4/24
    }
}
"""


def test_delays_and_buffers(tmp_path: Path) -> None:
    if reason := keepalived_peer.why_not():
        pytest.skip(reason)
    path = tmp_path / "keepalived.conf"
    path.write_text(CONF)
    (seen,) = observe([Job(str(path), ("eth0", "eth1", "eth2"))])
    dump = seen.dumps["vrrp"]
    theirs = {
        name: int(delay)
        for name, delay in re.findall(r"Name = (eth\d).*?Down debounce timer = (\d+)us", dump, re.DOTALL)
    }
    settings = resolve(load(path.read_bytes(), str(path)).document).settings
    ours = {delays.interface: delays.down for delays in settings.network.delays}
    assert set(theirs) == {"eth0", "eth1", "eth2"}
    for name, microseconds in theirs.items():
        assert abs(ours[name] - microseconds * 1000) <= 1000, name
    buffers = dict(re.findall(r"Interface = (eth\d)\n +Family = IPv4\n.*?Rx buf size = (\d+)", dump, re.DOTALL))
    assert {s.interface: str(s.receive_buffer) for s in settings.vrrp} == buffers
