"""Put first on PYTHONPATH below a trial: captures what every Python started by it logs, torchrun's rank 0 included.

The rest of the trial's side is found from here: in that Python nothing of it is installed.
"""

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
    if sys.version_info < (3, 9):  # noqa: UP036 - a trial may start any
        return  # what an older Python logs is read from its files
    _find_package()
    import json

    from orchestrator.trial.processes import command_line

    if command_line()[1:4] == ["-m", "wandb", "service"]:
        return  # the core of a wandb before 0.18, which logs nothing itself

    from orchestrator.trial.capture import process as capture
    from orchestrator.trial.contract.launch import launch_of
    from orchestrator.trial.program import tune_session, wandb_env

    with open(path, encoding="utf-8") as file:
        launch = launch_of(json.load(file))
    captured = capture.install(launch, leads=False)
    tune_session.install(launch)
    wandb_env.keep(launch)
    captured.leave_at_exit()
    _end_in_order()


def _find_package() -> None:
    """Let `orchestrator` be the package that this file is of, wherever it lies."""
    import importlib.util

    package = __file__
    for _ in range(4):
        package = os.path.dirname(package)
    spec = importlib.util.spec_from_file_location("orchestrator", os.path.join(package, "__init__.py"))
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["orchestrator"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)


def _end_in_order() -> None:
    """Let SIGTERM end this process as it ends a trial, unless multiprocessing started it, which counts on the default."""
    import signal

    from orchestrator.trial.capture.sigterm import end_on_sigterm
    from orchestrator.trial.processes import command_line

    if any("multiprocessing" in word for word in command_line()):
        return

    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        end_on_sigterm()


_chain()
try:
    _capture()
except Exception as error:  # noqa: BLE001 - never breaks a program
    sys.stderr.write(f"sweep: warning: metrics of this process are not captured: {error}\n")
