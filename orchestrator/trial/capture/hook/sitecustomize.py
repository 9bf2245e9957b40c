"""Put first on PYTHONPATH below a trial: captures what every Python started by it logs, torchrun's rank 0 included."""

import os
import sys


def _chain() -> None:
    """Run the sitecustomize that this one shadows."""
    here = os.path.dirname(os.path.abspath(__file__))
    rest = [p for p in sys.path if os.path.abspath(p or ".") != here]
    from importlib.machinery import PathFinder

    spec = PathFinder.find_spec("sitecustomize", rest)
    if spec is None or spec.loader is None:
        return
    import importlib.util

    module = importlib.util.module_from_spec(spec)
    sys.modules["sitecustomize"] = module
    spec.loader.exec_module(module)


def _capture() -> None:
    if any(os.environ.get(name, "0") not in {"0", ""} for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID")):
        return  # one process of a distributed program speaks for it
    path = os.environ.get("SWEEP_LAUNCH")
    if not path:
        return
    try:
        from orchestrator.trial.capture import process as capture
        from orchestrator.trial.contract.launch import launch_of
        from orchestrator.trial.program import tune_session, wandb_env
    except ImportError:
        return  # another Python: what it logs is read from its files
    import json

    with open(path, encoding="utf-8") as file:
        launch = launch_of(json.load(file))
    captured = capture.install(launch, leads=False)
    tune_session.install(launch)
    wandb_env.keep(launch)
    captured.leave_at_exit()
    _end_in_order()


def _end_in_order() -> None:
    """Let SIGTERM end this process as it ends a trial, unless multiprocessing started it, which counts on the default."""
    if any("multiprocessing" in word for word in sys.orig_argv):
        return
    import signal

    from orchestrator.trial.capture.sigterm import end_on_sigterm

    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        end_on_sigterm()


_chain()
try:
    _capture()
except Exception as error:  # noqa: BLE001 - never breaks a program
    sys.stderr.write(f"sweep: warning: metrics of this process are not captured: {error}\n")
