# -*- coding: utf-8 -*-
# Copyright: (c) The kactl maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real servers in the status of an agent, and what is ordered for them while it runs."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import re
import socket

from ansible_collections.kactl.agent.plugins.module_utils.agent import call

_ENDPOINT = re.compile(r"\[?([0-9A-Fa-f:.]+?)\]?:(\d+)/(TCP|UDP|SCTP)$", re.IGNORECASE)


def canonical(address):
    """An address as the agent writes it; what is none stays as it is."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        return socket.inet_ntop(family, socket.inet_pton(family, address))
    except (OSError, ValueError):
        return address


def split_name(name):
    """Address, port and protocol of a virtual server's name; None when it is not named by them."""
    found = _ENDPOINT.match(name)
    return (canonical(found.group(1)), int(found.group(2)), found.group(3).upper()) if found else None


def same_server(virtual_server, name):
    """Whether a virtual server of the status is the one that goes by this name."""
    own = name_of(virtual_server)
    if virtual_server.get("group"):  # names of groups have capitals that matter
        return re.sub(r"(?i)^group ", "group ", name) == own
    return own.lower() == name.lower() or (split_name(name) is not None and split_name(name) == split_name(own))


def virtual_servers_of(module, client):
    return call(module, client, "status").get("ipvs", {}).get("virtual_servers", [])


def name_of(virtual_server):
    """A virtual server as messages name it: 192.0.2.10:443/TCP, [2001:db8::1]:53/UDP, fwmark 3, group web."""
    if virtual_server.get("group"):
        return "group %s" % virtual_server["group"]
    if virtual_server.get("fwmark"):
        return "fwmark %s" % virtual_server["fwmark"]
    return "%s/%s" % (endpoint(virtual_server), virtual_server.get("protocol", "TCP"))


def endpoint(server):
    """Address and port; brackets around IPv6."""
    address, port = server["address"], server.get("port")
    shown = "[%s]" % address if ":" in address else address
    return "%s:%s" % (shown, port) if port else address


def find_servers(module, client, wanted, needed=True):
    """The real servers meant, each with its names and what is ordered for it. The task fails when there is none, but
    one is needed."""
    virtual_servers = virtual_servers_of(module, client)
    address = canonical(wanted["address"])
    found = []
    for virtual_server in virtual_servers:
        name = name_of(virtual_server)
        if wanted.get("virtual_server") and not same_server(virtual_server, wanted["virtual_server"]):
            continue
        for real_server in virtual_server.get("real_servers", []):
            if real_server["address"] != address:
                continue
            if wanted.get("port") and real_server.get("port") != wanted["port"]:
                continue
            found.append(
                dict(
                    virtual_server=name,
                    asked_as=virtual_server.get("group") or name.lower(),
                    address=real_server["address"],
                    port=real_server.get("port"),
                    name="%s of %s" % (endpoint(real_server), name),
                    weight=real_server.get("weight"),
                    effective_weight=real_server.get("effective_weight"),
                    alive=real_server.get("alive"),
                    ordered=real_server.get("ordered"),
                    drained=bool((real_server.get("ordered") or {}).get("drained")),
                )
            )
    if not found and needed:
        there = ", ".join(name_of(each) for each in virtual_servers) or "none"
        module.fail_json(
            msg="there is no real server %s of %s; virtual servers: %s"
            % (endpoint(wanted), wanted.get("virtual_server") or "any virtual server", there)
        )
    return found


def order_servers(module, client, servers, params):
    """Order the same for several real servers; what the agent says."""
    said = []
    for server in servers:
        each = dict(params, virtual_server=server["asked_as"], real_server=endpoint(server))
        said.append(call(module, client, "real_server", each)["message"])
    return "; ".join(said)
