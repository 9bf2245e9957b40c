"""Where everything of a sweep lies: each file's name in its directory, and in the directory of a trial."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

TRIALS = "trials"
LEDGER = "ledger.sqlite"
LEDGER_LOGS = ("-wal", "-journal")
"""How the names of SQLite's logs beside a ledger end: what was committed may be in them alone."""
LEDGER_BESIDE = (*LEDGER_LOGS, "-shm")
"""The same of all that SQLite keeps beside it."""
LOCK = "controller.lock"
SPEC = "sweep.yaml"
PRIOR = "prior.jsonl"
BEST = "best.yaml"
BEST_SCRIPT = "best.sh"
PARETO = "pareto.yaml"
TABLE = "trials.csv"
REPORT = "report.html"
PACE = "pace.json"
STORAGE = ".storage.json"
ORIGIN = ".origin"
CODE = "code"
CLAIMS = ".claims"
ARRIVING = ".arriving"
"""Where files of other nodes lie until they are complete."""
FETCHED = ".fetched"
"""The same of files that are fetched from a cluster elsewhere, and what says that a directory came from there."""
PROOF = ".pool-"
"""How the files begin by which workers show that they see the runs directory."""

LOG = "output.log"
REPORTS = "reports.jsonl"
USE = "usage.jsonl"
CONFIG = "config.yaml"
CONFIG_JSON = "config.json"
LAUNCH = ".launch.json"
CHECKPOINTS = "checkpoints"
ARTIFACTS = "artifacts"
USED_ARTIFACTS = "used-artifacts"
UPLOADS = ".upload"
WANDB = "wandb"
ATTEMPT = ".attempt-"
END = ".end-"
SYNCED = ".synced"
"""How wandb's own mark beside a log ends that a server has all of: `wandb sync` leaves such a run alone, too."""


def trial_name(number: int) -> str:
    """Return what a trial's directory is called."""
    return f"{number:04d}"


def run_id(sweep_id: str, number: int) -> str:
    """Return the id of a trial's W&B run: the same for every attempt."""
    return f"{sweep_id}-{trial_name(number)}"


def wandb_log(run_id: str) -> str:
    """Return what W&B calls the log of a run."""
    return f"run-{run_id}.wandb"


@dataclass(frozen=True)
class SweepDir:
    """The directory of one sweep: ``<slug>-<sweep id>`` under the runs directory."""

    path: Path

    @property
    def sweep_id(self) -> str:
        """The sweep's id, from the directory's name."""
        return self.path.name.rpartition("-")[2]

    @property
    def name(self) -> str:
        """The sweep's name, as the directory bears it."""
        return self.path.name.rpartition("-")[0]

    @property
    def spec_path(self) -> Path:
        """The spec exactly as given."""
        return self.path / SPEC

    @property
    def function_path(self) -> Path:
        """The function that the trials run, when `agent()` was given one."""
        return self.path / "function.pkl"

    @property
    def ledger_path(self) -> Path:
        """The ledger's database."""
        return self.path / LEDGER

    @property
    def labels_path(self) -> Path:
        """What people say of the sweep and its trials: tags and notes; absent when there are none."""
        return self.path / "labels.json"

    @property
    def prior_path(self) -> Path:
        """Trials of earlier sweeps that the search learns from; absent when there are none."""
        return self.path / PRIOR

    @property
    def pace_path(self) -> Path:
        """How trials went that were tried before; absent when none were."""
        return self.path / PACE

    @property
    def origin_path(self) -> Path:
        """Where the sweep was made, by which a copy is told from the original."""
        return self.path / ORIGIN

    @property
    def storage_path(self) -> Path:
        """Where a second copy of the sweep is kept, and by whom as far as is known here; absent where there is none."""
        return self.path / STORAGE

    @property
    def lock_path(self) -> Path:
        """The file that a controller locks."""
        return self.path / LOCK

    @property
    def controller_log_path(self) -> Path:
        """What a controller without a terminal says."""
        return self.path / "controller.log"

    @property
    def environment_path(self) -> Path:
        """Where the sweep ran: commit, versions, machine."""
        return self.path / "environment.json"

    @property
    def code_path(self) -> Path:
        """The copies of the project that its trials ran."""
        return self.path / CODE

    @property
    def report_path(self) -> Path:
        """The sweep on one page."""
        return self.path / REPORT

    @property
    def best_path(self) -> Path:
        """The best config so far."""
        return self.path / BEST

    @property
    def best_script_path(self) -> Path:
        """What runs the best trial once more."""
        return self.path / BEST_SCRIPT

    @property
    def pareto_path(self) -> Path:
        """The trials that no other beats, of a sweep with several objectives."""
        return self.path / PARETO

    @property
    def table_path(self) -> Path:
        """All trials as a table."""
        return self.path / TABLE

    @property
    def claims_path(self) -> Path:
        """Which running trial writes which path outside of its directory, a locked file each."""
        return self.path / CLAIMS

    @property
    def conflicts_path(self) -> Path:
        """Which trials wrote the same path, a line each."""
        return self.path / "shared-paths.jsonl"

    @property
    def trials_path(self) -> Path:
        """The directory of the trials' directories."""
        return self.path / TRIALS

    def trial(self, number: int) -> TrialDir:
        """The directory of a trial."""
        return TrialDir(self.trials_path / trial_name(number))

    def trials(self) -> list[TrialDir]:
        """The trials' directories that there are, in no order."""
        return [TrialDir(path) for path in self.trials_path.glob("[0-9]*") if _is_number(path.name)]


@dataclass(frozen=True)
class TrialDir:
    """The directory of one trial. It is TensorBoard's directory of that run, too, and the parent of W&B's."""

    path: Path

    @property
    def number(self) -> int:
        """The trial's number, from the directory's name."""
        return int(self.path.name)

    @property
    def sweep(self) -> SweepDir:
        """The directory of its sweep."""
        return SweepDir(self.path.parent.parent)

    @property
    def log_path(self) -> Path:
        """What the program printed, every attempt."""
        return self.path / LOG

    @property
    def reports_path(self) -> Path:
        """What the program logged, a line per call."""
        return self.path / REPORTS

    @property
    def use_path(self) -> Path:
        """What it used of its machine: CPU, memory and GPUs, a line per look; absent where it ended at once."""
        return self.path / USE

    @property
    def config_path(self) -> Path:
        """The config as W&B's param file."""
        return self.path / CONFIG

    @property
    def config_json_path(self) -> Path:
        """The config as JSON; only where the command asks for that file."""
        return self.path / CONFIG_JSON

    @property
    def launch_path(self) -> Path:
        """The launch, for the interpreters that the trial starts."""
        return self.path / LAUNCH

    @property
    def checkpoints_path(self) -> Path:
        """What further attempts go on from."""
        return self.path / CHECKPOINTS

    @property
    def tune_counts_path(self) -> Path:
        """What Tune would know of each checkpoint."""
        return self.path / ".tune.json"

    @property
    def artifacts_path(self) -> Path:
        """The files of the W&B artifacts that the trial logged."""
        return self.path / ARTIFACTS

    @property
    def used_artifacts_path(self) -> Path:
        """Copies of the artifacts that the trial used of others."""
        return self.path / USED_ARTIFACTS

    @property
    def wandb_path(self) -> Path:
        """The directory in which W&B's client keeps its runs."""
        return self.path / WANDB

    @property
    def uploads_path(self) -> Path:
        """What is going up to a W&B server right now, a run each."""
        return self.path / UPLOADS

    def attempt_path(self, attempt: int) -> Path:
        """The mark that an attempt was started."""
        return self.path / f"{ATTEMPT}{attempt}"

    def attempt_paths(self) -> list[Path]:
        """The marks of the attempts that were started, in no order."""
        return list(self.path.glob(f"{ATTEMPT}*"))

    def attempts(self) -> list[int]:
        """The numbers of the attempts that were started, in no order."""
        numbers = [path.name.removeprefix(ATTEMPT) for path in self.attempt_paths()]
        return [int(number) for number in numbers if _is_number(number)]

    def end_path(self, attempt: int) -> Path:
        """The record of an attempt's end."""
        return self.path / f"{END}{attempt}.json"

    def end_paths(self) -> list[Path]:
        """The records of attempts' ends that there are, in no order."""
        return list(self.path.glob(f"{END}*.json"))

    def wandb_run_paths(self) -> list[Path]:
        """The directories of its W&B runs, by name: those recorded offline are before those recorded online."""
        return sorted(self.wandb_path.glob("*run-*"))

    def wandb_log_paths(self, run_id: str = "*") -> list[Path]:
        """The logs of its W&B runs, or of the one with an id, by name."""
        return sorted(self.wandb_path.glob(f"*run-*/{wandb_log(run_id)}"))


def _is_number(name: str) -> bool:
    return name.isdecimal() and len(name) < 9
