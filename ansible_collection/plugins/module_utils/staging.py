# -*- coding: utf-8 -*-
# Copyright: (c) The kactl maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A new configuration on the node, before it becomes the agent's."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import tempfile


def stage(module, path, text):
    """A file with the text, that its owner alone reads and that goes with the module. It stands beside ``path``: what
    an agent without any privilege can read, and whence it finds what the text includes. Without a folder for ``path``
    there is nothing to include, and no agent that reads it."""
    folder = os.path.dirname(os.path.realpath(path))
    if not os.path.isdir(folder):
        folder = module.tmpdir
    descriptor, name = tempfile.mkstemp(prefix=".kactl-", suffix=".yaml", dir=folder)
    module.add_cleanup_file(name)
    with os.fdopen(descriptor, "wb") as file:
        file.write(text.encode("utf-8"))
    return name
