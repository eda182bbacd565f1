#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) The kactl maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: genhash
short_description: The digest of a page, as HTTP_GET and SSL_GET compute it
description:
  - Asks a server for a page from the node, with the agent's own checker code, and returns the digest for C(digest) of a check.
  - Changes nothing.
version_added: 0.1.0
author:
  - The kactl maintainers (@kactl)
options:
  server:
    description:
      - The address of the server.
    type: str
    required: true
  port:
    description:
      - Its port.
    type: int
    required: true
  url:
    description:
      - The path of the page.
    type: str
    required: true
    aliases: [path]
  tls:
    description:
      - Use TLS.
    type: bool
    default: false
  sni:
    description:
      - Send O(virtualhost) as server name with TLS.
    type: bool
    default: false
  virtualhost:
    description:
      - The name in the Host header.
    type: str
  fwmark:
    description:
      - Firewall mark of the packets.
    type: int
  http_protocol:
    description:
      - The version of HTTP; with V(1.0c) the connection is closed explicitly.
    type: str
    choices: ["1.0", "1.0c", "1.0C", "1.1"]
    default: "1.0"
  timeout:
    description:
      - Seconds to connect, and to be answered.
    type: int
    default: 5
  executable:
    description:
      - The node's C(kactl) command.
      - Without it C(/opt/kactl/bin), C(/usr/local/bin), C(/usr/bin) and the C(PATH) are searched.
    type: path
  run_dir:
    description:
      - Not used; it is here so that the defaults of the action group may name it.
    type: path
    default: /run/kactl
extends_documentation_fragment:
  - kactl.agent.agent.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
"""

EXAMPLES = r"""
- name: The digest of the health page of a real server
  kactl.agent.genhash:
    server: 10.0.0.1
    port: 80
    url: /healthz
  register: page

- name: Check for it
  kactl.agent.config:
    config:
      virtual_server:
        - address: 192.0.2.10
          port: 80
          protocol: TCP
          real_server:
            - address: 10.0.0.1
              port: 80
              HTTP_GET: {url: [{path: /healthz, digest: "{{ page.digest }}"}]}
"""

RETURN = r"""
digest:
  description: The digest, 32 hexadecimal digits.
  returned: success
  type: str
  sample: 9e107d9d372bb6826bd81d3542a419d6
"""

import re

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.kactl.agent.plugins.module_utils.agent import kactl


def main():
    module = AnsibleModule(
        argument_spec=dict(
            server=dict(type="str", required=True),
            port=dict(type="int", required=True),
            url=dict(type="str", required=True, aliases=["path"]),
            tls=dict(type="bool", default=False),
            sni=dict(type="bool", default=False),
            virtualhost=dict(type="str"),
            fwmark=dict(type="int"),
            http_protocol=dict(type="str", choices=["1.0", "1.0c", "1.0C", "1.1"], default="1.0"),
            timeout=dict(type="int", default=5),
            executable=dict(type="path"),
            run_dir=dict(type="path", default="/run/kactl"),
        ),
        supports_check_mode=True,
    )
    said = module.params
    arguments = ["genhash", "-s", said["server"], "-p", str(said["port"]), "-u", said["url"]]
    arguments += ["-P", said["http_protocol"], "-t", str(said["timeout"])]
    for option, flag in (("-S", "tls"), ("-I", "sni")):
        if said[flag]:
            arguments.append(option)
    for option, value in (("-V", "virtualhost"), ("-m", "fwmark")):
        if said[value] is not None:
            arguments += [option, str(said[value])]
    code, out, err = kactl(module, arguments)
    found = re.search(r"\b([0-9a-f]{32})\b", out)
    if code != 0 or not found:
        module.fail_json(msg="no digest: %s" % (err.strip() or out.strip() or "exit code %d" % code), rc=code)
    module.exit_json(changed=False, digest=found.group(1))


if __name__ == "__main__":
    main()
