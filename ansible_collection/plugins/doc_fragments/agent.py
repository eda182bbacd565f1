# -*- coding: utf-8 -*-
# Copyright: (c) The kactl maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import absolute_import, division, print_function

__metaclass__ = type


class ModuleDocFragment(object):
    DOCUMENTATION = r"""
options:
  run_dir:
    description:
      - The agent's run directory, which holds its control socket.
    type: path
    default: /run/kactl
  timeout:
    description:
      - Seconds to wait for an answer of the agent.
    type: float
    default: 10.0
requirements:
  - a running kactl-agent on the node; its control socket is for root alone, so that I(become) is needed
"""

    EXECUTABLE = r"""
options:
  executable:
    description:
      - The node's C(kactl) command.
      - Without it C(/opt/kactl/bin), C(/usr/local/bin), C(/usr/bin) and the C(PATH) are searched.
    type: path
"""

    ATTRIBUTES = r"""
attributes:
  check_mode:
    description: Can run in check mode and say what it would do without doing it.
  diff_mode:
    description: Returns in diff mode what changes.
  idempotent:
    description: Run again with the same parameters it changes nothing.
  platform:
    description: What it runs on.
    platforms: linux
    support: full
"""
