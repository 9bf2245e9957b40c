"""Runs programs and the `sweep` command as a user would: another process, a working directory, an environment."""

import os
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

QUIET = {"WANDB_SILENT": "true", "WANDB_ERROR_REPORTING": "false", "OMP_NUM_THREADS": "1"}


def environment(**changes):
    """The environment of the tests, without what would reach a trial from outside."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("WANDB_", "SWEEP_", "RAY_ADDRESS"))}
    bin_dir = str(Path(sys.executable).parent)
    return (
        kept | {"PATH": f"{bin_dir}{os.pathsep}{os.environ['PATH']}", "RAY_USAGE_STATS_ENABLED": "0"} | QUIET | changes
    )


def run(*command, cwd, expect=0, timeout=240, **changes):
    """Run a command to its end and return it; its exit code is the expected one."""
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=environment(**changes),
        capture_output=True,
        text=True,
        timeout=timeout,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert done.returncode == expect, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def run_script(path, text, **options):
    """Write a Python script and run it in its directory."""
    path.write_text(text, encoding="utf-8")
    return run(sys.executable, path.name, cwd=path.parent, **options)


HEAD = """
import sys
import ray._private.utils
from ray.cluster_utils import Cluster
from orchestrator.execution.ray.own_cluster import SYSTEM_CONFIG, only_what_is_needed
ray._private.utils.write_ray_address = lambda *_: None
with only_what_is_needed():
    head = {"num_cpus": 2, "num_gpus": 0, "temp_dir": sys.argv[1], "_system_config": SYSTEM_CONFIG}
    cluster = Cluster(initialize_head=True, head_node_args=head)
print(cluster.address, flush=True)
sys.stdin.read()
cluster.shutdown()
"""


@contextmanager
def a_head():
    """A one-node Ray with two CPUs in another process; yields its address."""
    with tempfile.TemporaryDirectory(prefix="swt-", dir="/tmp") as temp_dir:
        command = [sys.executable, "-c", HEAD, temp_dir]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        with subprocess.Popen(command, env=environment(RAY_AUTH_MODE="disabled"), text=True, **pipes) as process:
            try:
                yield process.stdout.readline().strip()
            finally:
                process.stdin.close()
                process.wait(timeout=30)
