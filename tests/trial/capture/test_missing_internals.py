import json
import subprocess
import sys

import pytest

INTERNALS = [
    "wandb:init",
    "wandb:teardown",
    "wandb:sdk",
    "wandb.sdk.wandb_run:Run",
    "wandb.sdk.wandb_run:Run._log",
    "wandb.sdk.wandb_run:Run._finish",
    "wandb.sdk.wandb_run:Run.__exit__",
    "wandb.sdk.wandb_run:Run._metric_callback",
    "wandb.sdk.wandb_run:Run._summary_update_callback",
    "wandb.sdk.wandb_run:Run.mark_preempting",
    "wandb.sdk.wandb_run:Run._log_artifact",
    "wandb.sdk.wandb_run:Run.link_model",
    "wandb.sdk.wandb_run:Run._atexit_cleanup",
    "wandb.sdk.wandb_run:link_or_copy_with_policy",
    "wandb.sdk.interface.interface:InterfaceBase",
    "wandb.sdk.interface.interface:InterfaceBase.publish_partial_history",
    "wandb.sdk.interface.interface:InterfaceBase._make_run",
    "wandb.sdk.lib.asyncio_manager:AsyncioManager",
    "wandb.sdk.lib.asyncio_manager:AsyncioManager.run_soon",
    "wandb.sdk.lib.noop_run:NoopRun",
    "wandb.sdk.wandb_setup:_WandbSetup",
    "wandb.sdk.wandb_setup:_WandbSetup._load_settings",
    "wandb.sdk.artifacts.artifact:Artifact._add_local_file",
    "wandb.sdk.wandb_login:_print_logged_in_message",
    "wandb.sdk.mailbox.mailbox_handle:ServerResponseError",
]

SCRIPT = """
import contextlib, importlib, io, json, os, pathlib, sys
import wandb, wandb.sdk.lib.noop_run, wandb.sdk.lib.asyncio_manager, wandb.sdk.interface.interface, wandb.sdk.wandb_helper
from orchestrator.trial.capture import process as capture
from orchestrator.trial.contract.launch import Launch, Program, ProgramKind, WandbRun
from orchestrator.trial.program import wandb_env
from orchestrator.trial.wandb_core import Core

def program():
    with wandb.init(config={"lr": 1}) as run:
        run.define_metric("loss", summary="min")
        for i in range(3):
            wandb.log({"loss": 1 / (i + 1)})
        pathlib.Path("model.txt").write_text("weights")
        wandb.save("model.txt", policy="now")
        artifact = wandb.Artifact("model", "model")
        artifact.add_file("model.txt")
        run.log_artifact(artifact)
        run.summary["best"] = 0.5

def child(number, internal, mode, token):
    place = pathlib.Path(f"{number}-{mode}").absolute()
    place.mkdir()
    os.chdir(place)
    run = WandbRun(mode="offline", project="p", run_id=f"run-{number}", name="n", group="g") if mode == "offline" else None
    made = Program(kind=ProgramKind.SCRIPT, target="train.py")
    launch = Launch("k3x9w2ab", "s", number, 0, str(place), str(place), made, ("python",), {"lr": 0.1}, wandb=run)
    launch.dir.config_path.write_text("wandb_version: 1\\n\\nlr:\\n  value: 0.1\\n")
    os.environ.update(wandb_env.variables(launch, service=token, own=os.environ))
    module, _, path = internal.partition(":")
    owner = importlib.import_module(module)
    *outer, name = path.split(".")
    for part in outer:
        owner = getattr(owner, part)
    kept = vars(owner)[name]
    delattr(owner, name)
    captured = capture.install(launch)
    wandb_env.keep(launch)
    if name != "ServerResponseError" and not hasattr(owner, name):
        setattr(owner, name, kept)  # wandb itself needs it
    program()
    captured.close(0)

def outcome(number, internal, mode, token):
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        said = io.StringIO()
        try:
            with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
                child(number, internal, mode, token)
            found = ""
        except BaseException as error:
            import traceback
            found = traceback.format_exc()
        lines = [line for line in said.getvalue().splitlines() if line.startswith("sweep:")]
        os.write(write, json.dumps([found, lines]).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as file:
        text = file.read()
    os.waitpid(pid, 0)
    return json.loads(text)

core = Core.start()
cases = json.loads(sys.argv[1])
print(json.dumps({f"{each} {mode}": outcome(n, each, mode, core.token) for n, (each, mode) in enumerate(cases)}))
core.stop()
"""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    place = tmp_path_factory.mktemp("missing")
    switched_off = [each for each in INTERNALS if "noop" in each or "setup" in each or each.startswith("wandb:")]
    cases = [*((each, "offline") for each in INTERNALS), *((each, "off") for each in switched_off)]
    command = [sys.executable, "-c", SCRIPT, json.dumps(cases)]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_no_internal_of_wandb_that_is_missing_costs_a_program_anything(outcomes):
    """One after the other is not there when we look for it: the program runs to its end, with at most one warning."""
    assert {name: error for name, (error, _) in outcomes.items() if error} == {}
    assert {name: lines for name, (_, lines) in outcomes.items() if len(lines) > 1} == {}


def test_what_is_missing_is_said(outcomes):
    """Without the one place that every row passes, nothing is captured of W&B: the trial's log says so."""
    (line,) = outcomes["wandb.sdk.wandb_run:Run._log offline"][1]
    assert line.startswith("sweep: warning: not everything is captured: AttributeError")
