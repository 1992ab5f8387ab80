"""What the benches say of the machine and of the programs on it, and how they print."""

import os
import platform
import re
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]


def target():
    """Where cargo builds."""
    return ROOT / os.environ.get("CARGO_TARGET_DIR", "target")


def built(name):
    return target() / "release" / name


def venv():
    """Made by `scripts/install-deps.sh`: what Debian does not have, or has only in old versions."""
    return target() / "peers-venv"


def in_venv(pattern):
    """The program itself, or None: the scripts that the packages put before it would be another process to stop."""
    found = sorted(venv().glob(f"lib/python3*/site-packages/{pattern}"))
    return found[0] if found else None


def find(tool):
    """Debian has nginx and haproxy where only root looks, cargo what it installs in a folder of its own."""
    cargo = os.environ.get("CARGO_HOME", str(Path.home() / ".cargo"))
    return shutil.which(tool, path=os.environ.get("PATH", "") + f":/usr/sbin:/sbin:{cargo}/bin")


def in_memory():
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def cpu_model():
    match = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return match[1] if match else platform.machine()


def nginx_version(tools):
    return first_line(tools["nginx"], "-v").replace("nginx version: ", "")


def haproxy_version(tools):
    return " ".join(first_line(tools["haproxy"], "-v").split()[:3])


def envoy_version(binary):
    """PATH  version: COMMIT/VERSION/Clean/RELEASE/BoringSSL, after an empty line in some releases."""
    return first_line(binary, "--version").split("/")[-4]


def first_line(tool, flag):
    output = subprocess.run([tool, flag], capture_output=True, text=True, check=True)
    return (output.stdout or output.stderr).strip().splitlines()[0]


def print_table(rows, names):
    """Reads as text and as Markdown. The first `names` columns are words, the others numbers."""
    widths = [max(map(len, column)) for column in zip(*rows)]

    def line(cells):
        return "| " + " | ".join(cells) + " |"

    def aligned(cells):
        texts = [cell.ljust(width) for cell, width in zip(cells[:names], widths[:names])]
        return texts + [cell.rjust(width) for cell, width in zip(cells[names:], widths[names:])]

    print(line(aligned(rows[0])))
    print(line(["-" * width for width in widths[:names]] + ["-" * (width - 1) + ":" for width in widths[names:]]))
    for cells in rows[1:]:
        print(line(aligned(cells)))
