"""Runs `sweep` commands that start nothing, each in a fork of one process that has imported what they need: a tenth of the CPU.

Run as a program it reads requests, one JSON object a line: the command's words, its directory, its environment, the files
that it writes into, and the seconds it may take. It answers each with the exit code, or null where that time was over.
"""

import contextlib
import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import sys
import traceback

MODULES = ("jinja2", "orchestrator.reporting.page.render", "orchestrator.control.steering", "orchestrator.session")


def main():
    commands = importlib.import_module("orchestrator.cli.commands")
    beside = [f"{commands.__name__}.{found.name}" for found in pkgutil.iter_modules(commands.__path__)]
    for name in (*MODULES, "orchestrator.cli.main", "typer._adapters", *beside):
        with contextlib.suppress(ImportError):  # of an extra
            importlib.import_module(name)
    gc.freeze()
    for line in sys.stdin:
        request = json.loads(line)
        timeout = request.pop("timeout")
        child = os.fork()
        if child == 0:
            _become(**request)
        print(json.dumps(_code(child, timeout)), flush=True)


def _code(child, timeout):
    """Return the exit code of a child; None for one that took too long, which is killed."""
    ended = os.pidfd_open(child)
    in_time, _, _ = select.select([ended], [], [], timeout)
    os.close(ended)
    if not in_time:
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) if in_time else None


def _become(words, cwd, environ, out, err):
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environ)
    for descriptor, name in enumerate((os.devnull, out, err)):
        os.dup2(os.open(name, os.O_WRONLY if descriptor else os.O_RDONLY), descriptor)
    sys.argv = ["sweep", *words]
    code = 0
    try:
        importlib.import_module("orchestrator.cli.main").main()
    except SystemExit as end:
        code = 0 if end.code is None else end.code
        if not isinstance(code, int):  # as the interpreter does with words
            print(code, file=sys.stderr)
            code = 1
    except BaseException:  # noqa: BLE001 - as the interpreter shows it
        traceback.print_exc()
        code = 1
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
