"""Disks of a few megabytes that fill up."""

import contextlib
import shutil
import subprocess

import pytest


@contextlib.contextmanager
def small_disk(point, size):
    """Let a file system of `size` (as mount's option has it) lie at an empty directory; needs the right to mount one."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(point)]
    mounted = subprocess.run(command, check=False, capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"NOT TESTED: a full disk, because none can be mounted here ({mounted.stderr.strip()})")
    try:
        yield point
    finally:
        subprocess.run(["umount", "--lazy", str(point)], check=True)


def fill(point):
    """Take every byte that is left; return the file that has them."""
    ballast = point / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(b"\0" * size)
    assert shutil.disk_usage(point).free == 0
    return ballast
