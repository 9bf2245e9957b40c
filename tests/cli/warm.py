"""Runs `sweep` commands that start nothing, each in a fork of one process that has imported what they need: a tenth of the CPU.

Run as a program it reads requests, one JSON object a line: the command's words, its directory, its environment.
"""

import contextlib
import gc
import importlib
import json
import os
import pkgutil
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
        child = os.fork()
        if child == 0:
            _become(**request)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


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
        code = end.code or 0
    except BaseException:  # noqa: BLE001 - as the interpreter shows it
        traceback.print_exc()
        code = 1
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
