# -*- coding: utf-8 -*-
# Copyright: (c) The kactl maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real servers in the status of an agent, and what is ordered for them while it runs."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

from ansible_collections.kactl.agent.plugins.module_utils.agent import call


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


def find_servers(module, client, wanted):
    """The real servers meant, each with its names and what is ordered for it. The task fails when there is none."""
    virtual_servers = call(module, client, "status").get("ipvs", {}).get("virtual_servers", [])
    found = []
    for virtual_server in virtual_servers:
        name = name_of(virtual_server)
        if wanted.get("virtual_server") and wanted["virtual_server"].lower() != name.lower():
            continue
        for real_server in virtual_server.get("real_servers", []):
            if real_server["address"] != wanted["address"]:
                continue
            if wanted.get("port") and real_server.get("port") != wanted["port"]:
                continue
            found.append(
                dict(
                    virtual_server=name,
                    asked_as=name.lower() if "/" in name else name.replace("group ", "", 1),
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
    if not found:
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
