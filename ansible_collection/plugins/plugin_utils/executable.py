# Copyright: (c) The kactl maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kactl command on the controller, which filters convert and check configurations with."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile

from ansible.errors import AnsibleFilterError


def find(executable=None):
    """The path of the kactl command: as said, as KACTL_EXECUTABLE says, beside Ansible's interpreter, or on PATH."""
    said = executable or os.environ.get("KACTL_EXECUTABLE")
    if said:
        return said
    beside = os.path.join(os.path.dirname(sys.executable), "kactl")
    found = beside if os.access(beside, os.X_OK) else shutil.which("kactl")
    if not found:
        raise AnsibleFilterError(
            "there is no kactl command on the controller: pip install kactl, or say where it is in KACTL_EXECUTABLE"
        )
    return found


def run(arguments, data="", executable=None):
    """Exit code, standard output and standard error of kactl. Raises AnsibleFilterError when it cannot be run."""
    environment = dict(os.environ, NO_COLOR="1", LC_ALL="C.UTF-8")
    try:
        done = subprocess.run(
            [find(executable), *arguments],
            input=data.encode("utf-8"),
            capture_output=True,
            check=False,
            env=environment,
            timeout=120,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise AnsibleFilterError("kactl cannot be run on the controller: %s" % error) from error
    return done.returncode, done.stdout.decode("utf-8"), done.stderr.decode("utf-8", "replace")


def as_yaml_text(config):
    """A configuration as text: it may be given as data, or as text already. JSON is YAML."""
    if isinstance(config, str):
        return str(config)
    if isinstance(config, dict):
        return json.dumps(plain(config))
    raise AnsibleFilterError("a configuration is a dictionary or the text of its YAML, not %s" % type(config).__name__)


def plain(value):
    """Data without Ansible's own types of text."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, str) else value


def findings(arguments, data="", executable=None):
    """The diagnostics of `kactl check`."""
    code, out, err = run(["check", "--output", "json", *arguments], data, executable)
    try:
        return json.loads(out)["diagnostics"]
    except (ValueError, KeyError) as error:
        raise AnsibleFilterError("kactl check failed with exit code %d: %s" % (code, err.strip())) from error


def fleet_findings(configs, executable=None):
    """What the configurations of several hosts, by host, disagree about and what is wrong with each."""
    with tempfile.TemporaryDirectory(prefix="kactl-fleet-") as folder:
        for host, config in configs.items():
            name = str(host).replace(os.sep, "_")
            with open(os.path.join(folder, name + ".yaml"), "w", encoding="utf-8", opener=_private) as file:
                file.write(as_yaml_text(config))
        found = findings(["--no-secrets", "--fleet", folder], executable=executable)
        for each in found:
            for key in ("file", "message"):
                each[key] = each[key].replace(folder + os.sep, "")
        return found


def _private(path, flags):
    return os.open(path, flags, 0o600)
