"""Put first on PYTHONPATH below a cold command: captures what every Python started by it logs, torchrun's rank 0 included."""

import os
import sys


def _chain() -> None:
    """Run the sitecustomize that this one shadows."""
    here = os.path.dirname(os.path.abspath(__file__))
    rest = [p for p in sys.path if os.path.abspath(p or ".") != here]
    from importlib.machinery import PathFinder

    spec = PathFinder.find_spec("sitecustomize", rest)
    if spec is not None and spec.loader is not None:
        import importlib.util

        spec.loader.exec_module(importlib.util.module_from_spec(spec))


def _capture() -> None:
    if any(os.environ.get(name, "0") not in {"0", ""} for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID")):
        return  # one process of a distributed program speaks for it
    path = os.environ.get("SWEEP_LAUNCH")
    if not path:
        return
    import atexit
    import json

    from orchestrator.trial import capture
    from orchestrator.trial.bootstrap import launch_of

    with open(path, encoding="utf-8") as file:
        captured = capture.install(launch_of(json.load(file)))
    atexit.register(captured.leave)


_chain()
try:
    _capture()
except Exception as error:  # noqa: BLE001 - never breaks a program
    sys.stderr.write(f"sweep: warning: metrics of this process are not captured: {error}\n")
