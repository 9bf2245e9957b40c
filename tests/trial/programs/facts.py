"""Prints what a script can know about how it was started, as JSON."""

import __main__

import inspect
import json
import os
import signal
import sys
import threading
import warnings

facts = {
    "argv": sys.argv,
    "orig_argv": sys.orig_argv[1:],
    "path": [p for p in sys.path if not p.endswith("trial/hook")],
    "file": __file__,
    "name": __name__,
    "package": __package__,
    "spec": repr(__spec__),
    "doc": __doc__,
    "cached": __cached__,
    "loader": (type(__loader__).__name__, __loader__.name, __loader__.path),
    "builtins": type(__builtins__).__name__,
    "globals": sorted(name for name in globals() if name.startswith("__")),
    "is_main": sys.modules["__main__"] is __main__ and __main__.facts is facts if "facts" in globals() else True,
    "flags": list(sys.flags),
    "warnoptions": sys.warnoptions,
    "xoptions": sys._xoptions,
    "filters": [repr(f) for f in warnings.filters],
    "executable": sys.executable,
    "cwd": os.getcwd(),
    "sigint": signal.getsignal(signal.SIGINT) is signal.default_int_handler,
    "sigpipe": str(signal.getsignal(signal.SIGPIPE)),
    "sigchld": str(signal.getsignal(signal.SIGCHLD)),
    "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
    "thread": [t.name for t in threading.enumerate()],
    "source": inspect.getsource(sys.modules["__main__"])[:20],
    "streams": [(s.name, s.encoding, s.errors) for s in (sys.stdin, sys.stdout, sys.stderr)],
    "stdin": sys.stdin.read(),
    "debug": __debug__,
    "descriptors": [
        os.readlink(f"/proc/self/fd/{fd}")
        for fd in os.listdir("/proc/self/fd")
        if int(fd) > 2 and os.path.exists(f"/proc/self/fd/{fd}") and not os.readlink(f"/proc/self/fd/{fd}").endswith(".sweep")
    ],
    "ignored": [s for s in ("SIGTERM", "SIGHUP", "SIGUSR1") if signal.getsignal(getattr(signal, s)) is signal.SIG_IGN],
}
print(json.dumps(facts))
