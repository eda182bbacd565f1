"""In place of get-pip.py, which ansible-test would fetch: ensurepip gives a pip, and that installs the rest."""

import os
import subprocess
import sys

arguments = [each for each in sys.argv[1:] if each not in ("--no-setuptools", "--no-wheel")]
environment = {name: value for name, value in os.environ.items() if name not in ("GET_PIP", "PYTHONPATH")}
subprocess.run(
    [sys.executable, "-m", "ensurepip", "--default-pip"], check=True, env=environment, stdout=subprocess.DEVNULL
)
sys.exit(subprocess.run([sys.executable, "-m", "pip", "install", *arguments], env=environment, check=False).returncode)
