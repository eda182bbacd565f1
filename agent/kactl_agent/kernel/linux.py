"""The machine itself: every port of the VRRP worker on Linux."""

from __future__ import annotations

from kactl_agent.kernel.addresses import NetlinkAddresses
from kactl_agent.kernel.firewall import LinuxFirewall
from kactl_agent.kernel.frames import PacketFrameSocket
from kactl_agent.kernel.links import NetlinkLinks
from kactl_agent.kernel.routing import NetlinkRouting
from kactl_agent.kernel.sysctl import ProcSysctls
from kactl_agent.kernel.virtual_links import NetlinkVirtualLinks
from kactl_agent.kernel.vrrp_sockets import RawVrrpSockets
from kactl_agent.vrrp.network_settings import NetlinkBuffer


class LinuxKernel:
    """`kactl_agent.kernel.ports.Kernel`. Needs CAP_NET_ADMIN and CAP_NET_RAW. Raises OSError."""

    def __init__(self) -> None:
        self.links = NetlinkLinks()
        self.addresses = NetlinkAddresses()
        self.routing = NetlinkRouting()
        self.virtual_links = NetlinkVirtualLinks()
        self.sysctls = ProcSysctls()
        self.firewall = LinuxFirewall()
        self.vrrp_sockets = RawVrrpSockets()
        self.frames = PacketFrameSocket()

    def resize_buffers(self, command: NetlinkBuffer, monitor: NetlinkBuffer) -> None:
        self.links.resize_buffer(monitor)
        self.addresses.resize_buffer(command)
        self.routing.resize_buffers(command, monitor)
        self.virtual_links.resize_buffer(command)

    def close(self) -> None:
        self.links.close()
        self.addresses.close()
        self.routing.close()
        self.virtual_links.close()
        self.firewall.close()
        self.frames.close()
