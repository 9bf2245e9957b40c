"""The child that becomes a trial: from a fork of the warm server to the program as ``__main__``, and its orderly end."""

import atexit
import builtins
import importlib
import inspect
import io
import os
import random
import signal
import sys
import threading
import traceback
import types
import weakref
from collections.abc import Callable, Mapping
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import Any, NoReturn

from orchestrator.trial import capture, wandb_env
from orchestrator.trial.endings import STOPPED_EXIT, leave_record
from orchestrator.trial.launch import Launch, Program, ProgramKind, WandbRun
from orchestrator.trial.processes import die_with_parent

INTERRUPTED_EXIT = 130
OUT_OF_MEMORY = ("CUDA out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDA error: out of memory")


def become(data: Mapping[str, Any], *, service: str | None, cold: bool) -> NoReturn:
    """Become the trial that a launch (as JSON data) describes. Never returns.

    Args:
        data: The launch.
        service: Token of the wandb core to use, None to let wandb start its own.
        cold: Execute the command line instead of running the program in this process.
    """
    parent = os.getppid()
    launch = launch_of(data)
    try:
        os.setsid()
        die_with_parent(parent)
        _redirect(Path(launch.trial_dir) / "output.log")
        os.chdir(launch.cwd)
        _set_environment(launch, service=None if cold else service)
        if cold:
            _execute(launch)
        code = _run(launch)
    except BaseException:  # noqa: BLE001 - whatever went wrong here belongs into the trial's log
        traceback.print_exc()
        code = 1
    _flush()
    os._exit(code)


def launch_of(data: Mapping[str, Any]) -> Launch:
    """Return the launch that `dataclasses.asdict` and JSON made of one."""
    program = dict(data["program"])
    fields = dict(data)
    lists = {name: tuple(program[name]) for name in ("interpreter_args", "args")}
    fields["program"] = Program(**{**program, **lists, "kind": ProgramKind(program["kind"])})
    if data["wandb"] is not None:
        fields["wandb"] = WandbRun(**{**data["wandb"], "tags": tuple(data["wandb"]["tags"])})
    for name in ("argv", "gpu_ids", "preload"):
        fields[name] = tuple(data[name]) if data[name] is not None else None
    return Launch(**fields)


# ---- the process around the program ----------------------------------------------------------------------------------


def _redirect(log_path: Path) -> None:
    """Standard input is closed, standard output and error go to the log, a line at a time."""
    null = os.open(os.devnull, os.O_RDONLY)
    log = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for source, target in ((null, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    for descriptor in {null, log} - {0, 1, 2}:
        os.close(descriptor)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True)


def _set_environment(launch: Launch, *, service: str | None) -> None:
    for name in wandb_env.REMOVED:
        os.environ.pop(name, None)
    os.environ.update(launch.env)
    os.environ.update(wandb_env.variables(launch, service=service))
    os.environ.update(capture.variables(launch))
    if launch.gpu_ids is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(launch.gpu_ids)
    if launch.seed is not None:
        os.environ["SWEEP_TRIAL_SEED"] = str(launch.seed)


def _execute(launch: Launch) -> NoReturn:
    os.environ.update(capture.hook_variables(launch))
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        os.execvp(launch.argv[0], launch.argv)
    except OSError as error:
        print(f"{launch.argv[0]}: {error.strerror}", file=sys.stderr)  # noqa: T201 - into the trial's log
        _flush()
        _write_end(launch, 127, f"{launch.argv[0]}: {error.strerror}", started=False)
        os._exit(127)


def _run(launch: Launch) -> int:
    """Run the program in this process; return its exit code."""
    _disown_finalizers()
    _seed(launch.seed)
    _limit_threads(launch.cpus)
    signal.signal(signal.SIGTERM, _raise_system_exit)
    captured = capture.install(launch)
    code, error = _outcome(lambda: _call(launch))
    late_code, late_error = _outcome(_end_like_python)
    code, error = (code, error) if code or not late_code else (late_code, late_error)
    captured.close(code)
    _write_end(launch, code, error)
    return code


def _disown_finalizers() -> None:
    """What the server's libraries clean up at exit (temporary directories) is the server's, and its other children use it."""
    for finalizer in list(weakref.finalize._registry):  # type: ignore[attr-defined]  # noqa: SLF001 - there is no other way
        finalizer.atexit = False
    media = sys.modules.get("wandb.sdk.data_types._private")
    if media is not None:
        atexit.unregister(media.MEDIA_TMP.cleanup)


def _raise_system_exit(_number: int, _frame: types.FrameType | None) -> None:
    raise SystemExit(STOPPED_EXIT)


def _seed(seed: int | None) -> None:
    """Give the trial a random state of its own: forked processes share their parent's otherwise."""
    value = seed if seed is not None else int.from_bytes(os.urandom(4), "big")
    random.seed(value)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(value % 2**32)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(value)


def _limit_threads(cpus: float | None) -> None:
    """Use no more threads than the trial has CPUs: its neighbours use theirs."""
    if cpus is None:
        return
    n_threads = max(1, int(cpus))
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(n_threads)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(n_threads)


def _end_like_python() -> None:
    """What the interpreter does at its end, without taking the memory apart."""
    threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001 - waits for non-daemon threads
    atexit._run_exitfuncs()  # noqa: SLF001 - there is no public name


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            continue


# ---- the program -----------------------------------------------------------------------------------------------------


def _call(launch: Launch) -> None:
    program = launch.program
    match program.kind:
        case ProgramKind.SCRIPT:
            _run_script(program)
        case ProgramKind.MODULE:
            _run_module(program)
        case ProgramKind.OBJECT:
            sys.path.insert(0, launch.cwd)
            _run_object(_resolve(program.target), launch)
        case ProgramKind.PICKLE:
            import cloudpickle

            sys.path.insert(0, launch.cwd)
            _run_object(cloudpickle.loads(Path(program.target).read_bytes()), launch)
        case ProgramKind.COMMAND:
            raise AssertionError("commands are executed, not called")


def _run_script(program: Program) -> None:
    path = os.path.abspath(program.target)
    loader = SourceFileLoader("__main__", path)
    main = types.ModuleType("__main__")
    main.__dict__.update(__file__=path, __builtins__=builtins, __spec__=None, __loader__=loader, __cached__=None)
    sys.modules["__main__"] = main
    sys.argv = [program.target, *program.args]
    sys.path.insert(0, os.path.dirname(os.path.realpath(path)))
    with io.open_code(path) as file:
        code = compile(file.read(), path, "exec", dont_inherit=True)
    exec(code, main.__dict__)  # noqa: S102 - running the user's program is the product


def _run_module(program: Program) -> None:
    import runpy

    sys.argv = [program.target, *program.args]
    sys.path.insert(0, os.getcwd())
    runpy._run_module_as_main(program.target, alter_argv=True)  # type: ignore[attr-defined]  # noqa: SLF001 - as `-m`


def _resolve(target: str) -> Any:
    module, _, name = target.partition(":")
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found


def _run_object(program: Any, launch: Launch) -> None:
    from orchestrator.trial import tune_program

    sys.argv = [launch.program.target]
    if inspect.isclass(program):
        tune_program.run_class(program, launch)
    elif _wants_config(program):
        tune_program.run_function(program, launch)
    else:
        program()


def _wants_config(function: Callable[..., Any]) -> bool:
    positional = {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD}
    parameters = inspect.signature(function).parameters.values()
    required = [p for p in parameters if p.kind in positional and p.default is inspect.Parameter.empty]
    return len(required) == 1


# ---- how it ended ----------------------------------------------------------------------------------------------------


def _outcome(action: Callable[[], None]) -> tuple[int, str | None]:
    """Run something of the user's; return the exit code and the error's one line."""
    try:
        action()
    except SystemExit as end:
        return _exit_code(end)
    except KeyboardInterrupt:
        return INTERRUPTED_EXIT, "KeyboardInterrupt"
    except BaseException as error:  # noqa: BLE001 - a program may raise anything
        _print_exception(error)
        return 1, _one_line(error)
    return 0, None


def _exit_code(end: SystemExit) -> tuple[int, str | None]:
    if end.code is None:
        return 0, None
    if isinstance(end.code, int):
        return end.code & 0xFF, f"exit code {end.code}" if end.code else None
    print(end.code, file=sys.stderr)  # noqa: T201 - as Python does
    return 1, str(end.code).strip().splitlines()[0][:500] if str(end.code).strip() else "exit code 1"


def _print_exception(error: BaseException) -> None:
    """Print a traceback as `python script.py` would: without the frames of this file."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    sys.excepthook(type(error), error.with_traceback(trace), trace)


def _one_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    name = type(error).__name__
    return f"{name}: {lines[0][:500]}" if lines else name


def _write_end(launch: Launch, code: int, error: str | None, *, started: bool = True) -> None:
    """Leave a record of how the attempt ended: whoever reads it later knows that the program came to its end."""
    oom = error is not None and ("OutOfMemoryError" in error or any(sign in error for sign in OUT_OF_MEMORY))
    record = {"exit_code": code, "error": error, "out_of_memory": oom, "started": started}
    leave_record(Path(launch.trial_dir), launch.attempt, record)
