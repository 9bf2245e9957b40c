"""The child that becomes a trial: from a fork of the warm server to the program as ``__main__``, and its orderly end."""

from __future__ import annotations

import atexit
import builtins
import gc
import importlib
import inspect
import io
import json
import os
import random
import signal
import sys
import threading
import time
import traceback
import types
import weakref
from collections.abc import Callable
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import Any, NoReturn

from orchestrator.trial.capture import environment
from orchestrator.trial.capture import process as capture
from orchestrator.trial.capture.patching import Patches
from orchestrator.trial.capture.sigterm import end_on_sigterm, ignore_sigterm
from orchestrator.trial.contract.end_record import leave_record
from orchestrator.trial.contract.launch import Launch, Program, ProgramKind, launch_of
from orchestrator.trial.formats.eventfile import begin_session
from orchestrator.trial.processes import SERVER_MARK, die_with_parent, flush_c_streams
from orchestrator.trial.program import tune_session, wandb_env
from orchestrator.trial.side import boot, cloudpickle, is_path_safe

OURS = os.path.join(os.path.dirname(os.path.dirname(__file__)), "")
"""Where the frames lie that a program's traceback leaves out: everything that runs in a trial's processes."""

KEPT = {
    "orchestrator",
    "__main__",
    "os",
    "io",
    "abc",
    "site",
    "stat",
    "codecs",
    "encodings",
    "posixpath",
    "genericpath",
    "zipimport",
}
"""What a bare interpreter has imported before it looks into a script's directory; and what runs the script."""

INTERRUPTED_EXIT = 130


def become(launch: Launch, *, service: str | None, cold: bool) -> NoReturn:
    """Become the trial that a launch describes. Never returns.

    Args:
        launch: The attempt.
        service: Token of the wandb core to use, None to let wandb start its own.
        cold: Begin with a fresh interpreter, or execute a command, instead of running the program in this process.
    """
    parent = os.getppid()
    try:
        os.setsid()
        die_with_parent(parent)
        _redirect(launch.dir.log_path)
        os.chdir(launch.cwd)
        is_command = launch.program.kind is ProgramKind.COMMAND
        _set_environment(launch, service=None if is_command else service)
        if cold:
            _execute(launch)
    except BaseException:  # noqa: BLE001 - whatever went wrong here belongs into the trial's log
        traceback.print_exc()
        _leave(1)
    _live(launch)


def become_cold() -> NoReturn:
    """Run the program of the launch whose file is the first argument, in this fresh interpreter. Never returns."""
    with open(sys.argv[1], encoding="utf-8") as file:
        launch = launch_of(json.load(file))
    _buffer_lines()
    _live(launch)


def _live(launch: Launch) -> NoReturn:
    try:
        code = _run(launch)
    except BaseException:  # noqa: BLE001 - as above
        traceback.print_exc()
        code = 1
    _leave(code)


def _redirect(log_path: Path) -> None:
    """Standard input is closed, standard output and error go to the log, a line at a time."""
    null = os.open(os.devnull, os.O_RDONLY)
    log = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    for source, target in ((null, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    for descriptor in {null, log} - {0, 1, 2}:
        os.close(descriptor)
    _buffer_lines()


def _buffer_lines() -> None:
    """Write every line to the log when it is printed."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True)


def _set_environment(launch: Launch, *, service: str | None) -> None:
    for name in (*wandb_env.REMOVED, SERVER_MARK):
        os.environ.pop(name, None)
    os.environ.update(launch.env)
    os.environ.update(wandb_env.variables(launch, service=service, own=os.environ))
    os.environ.update(environment.variables(launch))
    if launch.gpu_ids is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(launch.gpu_ids)


def _execute(launch: Launch) -> NoReturn:
    is_command = launch.program.kind is ProgramKind.COMMAND
    file = environment.write_launch(launch)
    if is_command:
        os.environ.update(environment.hook_variables(launch))
        os.environ["PATH"] = _path_with_own_python_first()
        _begin_quietly(launch)
    cold = (
        sys.executable,
        *launch.program.interpreter_args,
        "-c",
        boot("orchestrator.trial.program.bootstrap", "become_cold"),
        file,
    )
    argv = launch.argv if is_command else cold
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        os.execvp(argv[0], argv)
    except OSError as error:
        print(f"{argv[0]}: {error.strerror}", file=sys.stderr)  # noqa: T201 - into the trial's log
        _write_end(launch, 127, f"{argv[0]}: {error.strerror}", started=False)
        _leave(127)


def _path_with_own_python_first() -> str:
    """Where a command's `python` and `torchrun` are looked for: beside the sweep's interpreter, activated or not."""
    before = os.environ.get("PATH", os.defpath)
    own = os.path.dirname(sys.executable)
    return before if before.split(os.pathsep)[0] == own else f"{own}{os.pathsep}{before}"


def _begin_quietly(launch: Launch) -> None:
    try:
        begin_session(launch).close()
    except Exception as error:  # noqa: BLE001 - TensorBoard's trouble is no reason not to run a program
        print(f"sweep: warning: no hyperparameters for TensorBoard: {error}", file=sys.stderr)  # noqa: T201


def _run(launch: Launch) -> int:
    """Run the program in this process; return its exit code."""
    _disown_finalizers()
    _seed(launch.seed)
    end_on_sigterm()
    environment.write_launch(launch)
    os.environ.update(environment.hook_variables(launch))
    captured = capture.install(launch)
    session = tune_session.install(launch)
    wandb_env.keep(launch)
    service = os.environ.get("WANDB_SERVICE")
    code, error = _outcome(lambda: _call(launch, session))
    late_code, late_error = _outcome(threading._shutdown)  # type: ignore[attr-defined]  # noqa: SLF001 - as Python ends
    code, error = (code, error) if code or not late_code else (late_code, late_error)
    ended_s = time.monotonic()
    core_lost = bool(code) and service is not None and _has_died(service)
    ignore_sigterm()
    atexit._run_exitfuncs()  # noqa: SLF001 - there is no public name
    captured.close(code)
    _drop_globals()
    _write_end(launch, code, error, core_lost=core_lost, ended_s=ended_s)
    return code


def _has_died(service: str) -> bool:
    from orchestrator.trial.wandb_core import has_died

    return has_died(service)


def _disown_finalizers() -> None:
    """What the server's libraries clean up at exit (temporary directories) is the server's, and its other children use it."""
    for finalizer in list(weakref.finalize._registry):  # type: ignore[attr-defined]  # noqa: SLF001 - there is no other way
        finalizer.atexit = False
    media = getattr(sys.modules.get("wandb.sdk.data_types._private"), "MEDIA_TMP", None)
    if media is not None:
        atexit.unregister(media.cleanup)


def _seed(seed: int | None) -> None:
    """Give the trial a random state of its own: forked processes share their parent's otherwise."""
    value = seed % 2**32 if seed is not None else int.from_bytes(os.urandom(4), "big")
    random.seed(value)
    if seed is not None:
        late: dict[str, Callable[[types.ModuleType], Any]] = {
            "numpy.random": lambda numpy_random: numpy_random.seed(value),
            "torch": lambda torch: torch.manual_seed(value),
        }
        Patches(late).install()
        return
    if "numpy.random" in sys.modules:
        sys.modules["numpy.random"].seed(value)
    if "torch" in sys.modules:
        sys.modules["torch"].default_generator.manual_seed(value)  # those of devices do not exist yet


def _leave(code: int) -> NoReturn:
    """End at once: taking a torch process apart in order takes half a second."""
    _flush()
    if code == INTERRUPTED_EXIT:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    os._exit(code)


def _drop_globals() -> None:
    """Let go of what the script's global names hold, as the interpreter does at its end: archives, say, are closed by it."""
    if threading.active_count() > 1:
        return  # a daemon thread may still use them
    names = vars(sys.modules["__main__"])
    for name in [n for n in names if n not in {"__builtins__", "__name__"}]:
        names[name] = None
    gc.collect()


def _flush() -> None:
    """Write out what files hold: the program's own, which Python closes when it ends, and its output."""
    kinds = (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom)
    files = [file for file in gc.get_objects() if type(file) in kinds]
    for stream in (*sorted(files, key=lambda file: not isinstance(file, io.TextIOWrapper)), sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            continue
    flush_c_streams()


def _call(launch: Launch, session: tune_session.Session | None) -> None:
    program = launch.program
    assert program.kind is not ProgramKind.COMMAND, "commands are executed, not called"
    if program.kind is ProgramKind.SCRIPT:
        _run_script(program)
    elif program.kind is ProgramKind.MODULE:
        _run_module(program)
    elif program.kind is ProgramKind.OBJECT:
        _put_first(launch.cwd)
        _run_object(_resolve(program.target), launch, session)
    else:
        _put_first(launch.cwd)
        _run_object(cloudpickle().loads(Path(program.target).read_bytes()), launch, session)


def _run_script(program: Program) -> None:
    path = os.path.join(os.getcwd(), program.target)
    main = types.ModuleType("__main__")
    main.__dict__.update(
        __annotations__={},
        __builtins__=builtins,
        __file__=path,
        __cached__=None,
        __spec__=None,
        __loader__=SourceFileLoader("__main__", path),
    )
    sys.modules["__main__"] = main
    _set_argv(program, program.target)
    _put_first(os.path.dirname(os.path.realpath(path)))
    with io.open_code(path) as file:
        code = compile(file.read(), path, "exec", dont_inherit=True)
    exec(code, main.__dict__)  # noqa: S102 - running the user's program is the product


def _put_first(directory: str) -> None:
    """Look for modules in the program's directory first; what it has there is not what was preloaded under that name."""
    if is_path_safe():
        return
    sys.path.insert(0, directory)
    own = {entry.name.removesuffix(".py") for entry in os.scandir(directory) if _is_importable(entry)} - KEPT
    shadowed = {name for name in own if name in sys.modules}
    if not shadowed:
        return  # looking at the name of every module would copy memory that this process shares
    for name in [name for name in sys.modules if name.partition(".")[0] in shadowed]:
        del sys.modules[name]


def _is_importable(entry: os.DirEntry[str]) -> bool:
    return entry.name.endswith(".py") or os.path.isfile(os.path.join(entry.path, "__init__.py"))


def _set_argv(program: Program, *target: str) -> None:
    sys.argv = [program.target, *program.args]
    sys.orig_argv = [sys.executable, *program.interpreter_args, *target, *program.args]


def _run_module(program: Program) -> None:
    import runpy

    _set_argv(program, "-m", program.target)
    _put_first(os.getcwd())
    runpy._run_module_as_main(program.target, alter_argv=True)  # type: ignore[attr-defined]  # noqa: SLF001 - as `-m`


def _resolve(target: str) -> Any:
    module, _, name = target.partition(":")
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found


def _run_object(program: Any, launch: Launch, session: tune_session.Session | None) -> None:
    from orchestrator.trial.program import tune_program

    sys.argv = [launch.program.target, *launch.program.args]
    if inspect.isclass(program):
        tune_program.run_class(program, launch, session)
    elif _wants_config(program):
        tune_program.run_function(program, launch, session)
    else:
        program()


def _wants_config(function: Callable[..., Any]) -> bool:
    positional = {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD}
    parameters = inspect.signature(function).parameters.values()
    required = [p for p in parameters if p.kind in positional and p.default is inspect.Parameter.empty]
    return len(required) == 1


def _outcome(action: Callable[[], None]) -> tuple[int, str | None]:
    """Run something of the user's; return the exit code and the error's one line."""
    try:
        action()
    except SystemExit as end:
        return _exit_code(end)
    except KeyboardInterrupt as error:
        _print_exception(error)
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
    """Print a traceback as `python script.py` would: without our frames."""
    _strip(error, set())
    sys.last_type, sys.last_value, sys.last_traceback = type(error), error, error.__traceback__
    try:
        sys.excepthook(type(error), error, error.__traceback__)
    except BaseException as failure:  # noqa: BLE001 - a hook of the program's; Python prints both
        failure.__context__ = None
        _strip(failure, set())
        print("Error in sys.excepthook:", file=sys.stderr)  # noqa: T201 - as Python does
        sys.__excepthook__(type(failure), failure, failure.__traceback__)
        print("\nOriginal exception was:", file=sys.stderr)  # noqa: T201
        sys.__excepthook__(type(error), error, error.__traceback__)


def _strip(error: BaseException | None, seen: set[int]) -> None:
    """Take our frames out of an exception's traceback, and of those it came from."""
    if error is None or id(error) in seen:
        return
    seen.add(id(error))
    kept = []
    trace = error.__traceback__
    while trace is not None:
        if not trace.tb_frame.f_code.co_filename.startswith(OURS):
            kept.append(trace)
        trace = trace.tb_next
    linked = None
    for trace in reversed(kept):
        trace.tb_next = linked
        linked = trace
    error.__traceback__ = linked
    for other in (error.__cause__, error.__context__, *getattr(error, "exceptions", ())):
        _strip(other, seen)


def _one_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    name = type(error).__name__
    return f"{name}: {lines[0][:500]}" if lines else name


def _write_end(launch: Launch, code: int, error: str | None, **facts: bool | float) -> None:
    """Leave a record of how the attempt ended, by which it is known that the program came to its end.

    Args:
        launch: The attempt.
        code: Its exit code.
        error: One line about its failure.
        **facts: `started`: False when there was no program. `core_lost`: its W&B core was dead; whoever started both may die
            before saying so. `ended_s`: when (monotonic) the program came to its end, before what it does at exit.
    """
    try:
        leave_record(launch.dir, launch.attempt, {"exit_code": code, "error": error, **facts})
    except OSError:
        return  # its directory is gone: the exit code says it
