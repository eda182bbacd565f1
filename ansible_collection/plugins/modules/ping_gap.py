#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) The kactl maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: ping_gap
short_description: How long an address does not answer a client
description:
  - Pings an address for a while, and says how many answers were lost and how long the longest gap between two answers was.
  - Meant to run in the background (I(async)) on a client while virtual routers move.
  - Changes nothing.
version_added: 0.1.0
author:
  - The kactl maintainers (@kactl)
options:
  address:
    description:
      - The address.
    type: str
    required: true
  seconds:
    description:
      - For how long.
    type: float
    default: 15.0
  interval:
    description:
      - Seconds between two pings; less than V(0.2) needs root on many systems.
    type: float
    default: 0.02
  command_prefix:
    description:
      - Words to put before the ping command, such as C(ip netns exec client).
    type: list
    elements: str
    default: []
extends_documentation_fragment:
  - kactl.agent.agent.attributes
attributes:
  check_mode:
    support: full
    details: Pings in check mode too.
  diff_mode:
    support: none
  idempotent:
    support: full
"""

EXAMPLES = r"""
- name: Ping while something happens
  kactl.agent.ping_gap:
    address: 192.0.2.10
    seconds: 20
  async: 60
  poll: 0
  register: pings
"""

RETURN = r"""
sent:
  description: Pings sent.
  returned: success
  type: int
lost:
  description: Pings without an answer.
  returned: success
  type: int
longest_gap_ms:
  description: Milliseconds of the longest time without an answer, counted from one answer to the next, less the interval.
  returned: success
  type: int
"""

import re

from ansible.module_utils.basic import AnsibleModule


def longest_gap(times, end, interval):
    """Milliseconds between two answers, less what lies between two pings; after the last one too."""
    if not times:
        return None
    gaps = [after - before for before, after in zip(times, times[1:])]
    gaps.append(max(0.0, end - times[-1]))
    return max(0, int(round((max(gaps) - interval) * 1000)))


def main():
    module = AnsibleModule(
        argument_spec=dict(
            address=dict(type="str", required=True),
            seconds=dict(type="float", default=15.0),
            interval=dict(type="float", default=0.02),
            command_prefix=dict(type="list", elements="str", default=[]),
        ),
        supports_check_mode=True,
    )
    said = module.params
    count = max(1, int(said["seconds"] / said["interval"]))
    ping = ["ping", "-n", "-D", "-W", "1", "-i", "%g" % said["interval"], "-c", str(count)]
    _code, out, err = module.run_command(said["command_prefix"] + ping + [said["address"]])
    summary = re.search(r"(\d+) packets transmitted, (\d+) received", out)
    if not summary:
        module.fail_json(msg="ping failed: %s" % (err.strip() or out.strip()))
    times = [float(each) for each in re.findall(r"^\[(\d+\.\d+)\] \d+ bytes from", out, re.MULTILINE)]
    sent, received = int(summary.group(1)), int(summary.group(2))
    if not times:
        module.fail_json(msg="%s never answered" % said["address"], sent=sent, lost=sent - received)
    first = times[0]
    end = max(times[-1], first + (sent - 1) * said["interval"])
    module.exit_json(
        changed=False,
        sent=sent,
        lost=sent - received,
        longest_gap_ms=longest_gap(times, end if received < sent else times[-1], said["interval"]),
    )


if __name__ == "__main__":
    main()
