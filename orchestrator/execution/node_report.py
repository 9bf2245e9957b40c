"""What a node says of itself. Sent to nodes by value: the standard library alone, nothing of ours need be installed there."""

import importlib
import importlib.metadata
import json
import os
import platform
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

PROGRAM_S = 30.0
"""How long a program that is asked something (an interpreter, nvidia-smi) may take."""

LONGEST = 300
"""Characters of what a failure or a command line is quoted with."""


class Examiner:
    """Looks at the node that it runs on; one object per node, its methods called from several threads.

    Answers are plain data. What cannot be found out is in the answer's ``problems``, by what was looked at.
    """

    def __init__(self) -> None:
        self._at = "the start of its process"
        self._problems: dict[str, str] = {}

    def report(self, questions: Mapping[str, Any]) -> dict[str, Any]:
        """Return everything that was asked for.

        Args:
            questions: ``cwd`` where trials run; ``proof`` path and text of a file, or None; ``files`` that must be there;
                ``pythons`` by path the ``libraries`` that it must find, and whether it is the command's ``own``, for which
                this one stands in where it is not;
                ``self_report`` the source of the script that they run; ``environ`` variables that decide what they see.
        """
        looks: dict[str, Callable[[], dict[str, Any]]] = {
            "this Python": self._versions,
            "GPUs": self.gpus,
            "disks": lambda: self._disks(questions),
            "shared files": lambda: self._files(questions),
            "interpreters": lambda: self._pythons(questions),
        }
        answer: dict[str, Any] = {"host": socket.gethostname()}
        for what, look in looks.items():
            self._at = what
            try:
                answer.update(look())
            except Exception as error:  # noqa: BLE001 - one thing that cannot be found out hides no other
                self._problems[what] = f"{type(error).__name__}: {error}"[:LONGEST]
        self._at = "nothing any more"
        return {**answer, "problems": self._problems}

    def at(self) -> str:
        """Return what is being looked at."""
        return self._at

    def now(self) -> float:
        """Return the node's clock, in seconds since 1970."""
        return time.time()

    def give(self, n_bytes: int) -> bytes:
        """Return so many bytes."""
        return bytes(n_bytes)

    def _versions(self) -> dict[str, Any]:
        return {
            "python": platform.python_version(),
            "executable": sys.executable,
            "ray": _version("ray"),
            "package": _version("sweep-orchestrator"),
            "user": _user(os.geteuid()),
        }

    def _disks(self, questions: Mapping[str, Any]) -> dict[str, Any]:
        """Space by what a place is for: a directory that is not there yet would be made on its parent's disk."""
        places = {
            "cwd": Path(questions["cwd"]),
            "own": Path(os.environ.get("SWEEP_NODE_DIR") or tempfile.gettempdir()),
            "tmp": Path("/tmp"),  # noqa: S108 - where Ray keeps its files
            "shm": Path("/dev/shm"),  # noqa: S108 - where processes share memory
        }
        if questions["proof"]:
            places["runs"] = Path(questions["proof"][0]).parent
        disks: dict[str, dict[str, Any]] = {}
        for what, place in places.items():
            self._at = f"the disk of {place}"
            found = place if what == "shm" else next(path for path in (place, *place.parents) if path.is_dir())
            try:
                space = os.statvfs(found)
            except OSError as error:
                self._problems[self._at] = str(error.strerror)
                continue
            disks[what] = {
                "path": str(place),
                "total": space.f_blocks * space.f_frsize,
                "free": space.f_bavail * space.f_frsize,
                "files_free": space.f_favail if space.f_files else None,
            }
        return {"disks": disks}

    def _files(self, questions: Mapping[str, Any]) -> dict[str, Any]:
        seen = None
        if questions["proof"]:
            path, text = questions["proof"]
            self._at = f"the file {path}"
            try:
                seen = Path(path).read_text(encoding="utf-8") == text
            except (OSError, UnicodeDecodeError):
                seen = False
        self._at = f"the files in {questions['cwd']}"
        return {"seen": seen, "absent": [path for path in questions["files"] if not Path(path).exists()]}

    def _pythons(self, questions: Mapping[str, Any]) -> dict[str, Any]:
        answers: dict[str, dict[str, Any]] = {}
        for path, wanted in questions["pythons"].items():
            self._at = f"the interpreter {path}"
            is_replaced = wanted["own"] and not Path(path).exists()
            python = sys.executable if is_replaced else path
            argv = [python, "-c", questions["self_report"], "lacks", json.dumps(wanted["libraries"])]
            answers[path] = {**_asked(argv, {**os.environ, **questions["environ"]}), "replaced": is_replaced}
        return {"pythons": answers}

    def gpus(self) -> dict[str, Any]:
        """Return the GPUs, who told of them, and what was in the way of that."""
        problem, nvml = None, None
        for name in ("pynvml", "ray._private.thirdparty.pynvml"):
            try:
                nvml = importlib.import_module(name)
                break
            except ImportError:
                continue
        if nvml is not None:
            try:
                return {"gpu_source": "NVML", **_by_nvml(nvml), "gpu_problem": None}
            except Exception as error:  # noqa: BLE001 - each binding has errors of its own
                problem = f"{type(error).__name__}: {error}"[:LONGEST]
                if "not found" in problem.lower():  # no driver: there is no GPU of NVIDIA's to look at
                    problem = None
        program = shutil.which("nvidia-smi")
        if program is not None:
            try:
                return {"gpu_source": "nvidia-smi", **_by_program(program), "gpu_problem": None}
            except (OSError, ValueError, subprocess.SubprocessError) as error:
                said = str(getattr(error, "output", None) or error)
                problem = problem or " ".join(said.split())[:LONGEST]
        return {"gpu_source": None, "gpus": [], "driver": None, "cuda": None, "gpu_problem": problem}


def gpus_within(patience_s: float) -> list[dict[str, Any]]:
    """Return what is known of each GPU of this machine; nothing when that takes longer than so many seconds."""
    found: list[list[dict[str, Any]]] = []
    thread = threading.Thread(target=lambda: found.append(Examiner().gpus()["gpus"]), daemon=True)
    thread.start()
    thread.join(patience_s)
    return found[0] if found else []


def answer_within(patience_s: float, questions: Mapping[str, Any]) -> dict[str, Any] | str:
    """Return what this machine says of itself, or what it hangs at when that takes longer than so many seconds."""
    examiner = Examiner()
    found: list[dict[str, Any]] = []
    thread = threading.Thread(target=lambda: found.append(examiner.report(questions)), daemon=True)
    thread.start()
    thread.join(patience_s)
    return found[0] if found else examiner.at()


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _by_nvml(nvml: Any) -> dict[str, Any]:
    nvml.nvmlInit()
    try:
        cuda = nvml.nvmlSystemGetCudaDriverVersion()
        return {
            "driver": _text(nvml.nvmlSystemGetDriverVersion()),
            "cuda": f"{cuda // 1000}.{cuda % 1000 // 10}",
            "gpus": [_gpu_by_nvml(nvml, n) for n in range(nvml.nvmlDeviceGetCount())],
        }
    finally:
        nvml.nvmlShutdown()


def _gpu_by_nvml(nvml: Any, index: int) -> dict[str, Any]:
    handle = nvml.nvmlDeviceGetHandleByIndex(index)
    memory = _memory(nvml, handle)
    try:
        running = nvml.nvmlDeviceGetComputeRunningProcesses(handle)
    except nvml.NVMLError:  # a GPU in a virtual machine may not tell
        running = []
    return {
        "index": index,
        "uuid": _text(nvml.nvmlDeviceGetUUID(handle)),
        "name": _text(nvml.nvmlDeviceGetName(handle)),
        "total": int(memory.total),
        "free": int(memory.free),
        "used": int(memory.used),
        "holders": [_holder(process.pid, process.usedGpuMemory) for process in running],
    }


def _memory(nvml: Any, handle: Any) -> Any:
    """Ask in the newer way, which does not count what the driver keeps as used; a driver or a module may not have it."""
    newer = getattr(nvml, "nvmlMemory_v2", None)
    if newer is not None:
        try:
            return nvml.nvmlDeviceGetMemoryInfo(handle, version=newer)
        except nvml.NVMLError:
            pass
    return nvml.nvmlDeviceGetMemoryInfo(handle)


def _by_program(program: str) -> dict[str, Any]:
    """What nvidia-smi says, as NVML does; memory in bytes."""
    rows = _rows(program, "gpu=index,uuid,name,driver_version,memory.total,memory.free,memory.used")
    apps = _rows(program, "compute-apps=gpu_uuid,pid,used_memory")
    return {
        "driver": rows[0][3] if rows else None,
        "cuda": None,
        "gpus": [
            {
                "index": int(row[0]),
                "uuid": row[1],
                "name": row[2],
                "total": int(row[4]) << 20,
                "free": int(row[5]) << 20,
                "used": int(row[6]) << 20,
                "holders": [
                    _holder(int(app[1]), int(app[2]) << 20 if app[2].isdigit() else None)
                    for app in apps
                    if app[0] == row[1]
                ],
            }
            for row in rows
        ],
    }


def _rows(program: str, query: str) -> list[list[str]]:
    done = subprocess.run(
        [program, f"--query-{query}", "--format=csv,noheader,nounits"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=PROGRAM_S,
        check=True,
    )
    return [[cell.strip() for cell in line.split(",")] for line in done.stdout.splitlines() if line.strip()]


def _holder(pid: int, used_bytes: int | None) -> dict[str, Any]:
    """Who a process is: empty words where it cannot be seen from here (another container's, or gone)."""
    holder: dict[str, Any] = {"pid": pid, "bytes": used_bytes, "user": "", "command": "", "sweep": ""}
    try:
        proc = Path(f"/proc/{pid}")
        holder["user"] = _user(proc.stat().st_uid)
        holder["command"] = " ".join(_words(proc / "cmdline")).strip()[:LONGEST]
        variables = dict(word.partition("=")[::2] for word in _words(proc / "environ"))
        holder["sweep"] = variables.get("SWEEP_ID", "")
    except OSError:
        pass
    return holder


def _words(path: Path) -> list[str]:
    return path.read_bytes().decode(errors="replace").split("\0")


def _asked(argv: Sequence[str], environ: Mapping[str, str]) -> dict[str, Any]:
    """What an interpreter says, or its ``problem``."""
    if not Path(argv[0]).exists():
        return {"problem": "does not exist"}
    try:
        done = subprocess.run(
            argv,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PROGRAM_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"problem": f"does not answer within {PROGRAM_S:.0f} seconds"}
    except (OSError, ValueError) as error:
        return {"problem": f"does not start: {error}"}
    marked = [line for line in done.stdout.splitlines() if line.startswith("sweep-python ")]
    if done.returncode or not marked:
        return {"problem": "does not run: " + (" ".join(done.stderr.split())[-LONGEST:] or "it says nothing")}
    answer: dict[str, Any] = json.loads(marked[-1].partition(" ")[2])
    return answer


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _text(value: Any) -> str:
    """A text of NVML's, which older bindings give as bytes."""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
