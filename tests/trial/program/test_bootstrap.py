"""The oracle is Python itself: each program runs twice, as a trial and as `python script.py`, and must do the same."""

import gzip
import json
import os
import re
import signal
import sys

import pytest

from orchestrator.trial.contract import function_file
from orchestrator.trial.contract.events import Cause
from orchestrator.trial.contract.launch import ProgramKind
from tests.trial.conftest import PROGRAMS, python

SAME = {
    "exit_number": "import sys\nsys.exit(3)",
    "exit_text": "import sys\nsys.exit('no data: call it\\na day')",
    "exit_nothing": "import sys\nsys.exit()",
    "exit_negative": "import sys\nsys.exit(-1)",
    "exit_large": "raise SystemExit(259)",
    "exit_true": "raise SystemExit(True)",
    "exit_at_once": "import os\nos.write(1, b'x')\nos._exit(7)",
    "exit_in_function": "import sys\ndef main():\n    try:\n        sys.exit(4)\n    finally:\n        print('left')\nmain()",
    "killed_by_itself": "import os\nos.kill(os.getpid(), 9)",
    "aborted": "import os\nos.abort()",
    "interrupted": "print('up')\nraise KeyboardInterrupt",
    "exception": "def f(x):\n    return 1 / x\nprint('first')\nf(0)",
    "exception_chain": """
def f():
    try:
        {}['a']
    except KeyError as error:
        raise ValueError('bad lr') from error
try:
    f()
except ValueError:
    raise RuntimeError('during')
""",
    "exception_group": "raise ExceptionGroup('both', [ValueError(1), TypeError(2)])",
    "exception_hook": "import sys\nsys.excepthook = lambda kind, error, trace: print('mine', kind.__name__)\n1 / 0",
    "exception_hook_fails": "import sys\nsys.excepthook = lambda *a: {}[0]\nraise ValueError('x')",
    "exception_in_import": "import beside.broken",
    "syntax_error": "x = 1\nif x\n    pass\n",
    "declared_encoding": "# -*- coding: latin-1 -*-\nprint('gr\u00fcn')\n",
    "warning": "import warnings\nwarnings.warn('old')\nwarnings.warn('older', DeprecationWarning)\nwarnings.warn('old')",
    "atexit_order": """
import atexit
atexit.register(print, 'first in, last out')
atexit.register(print, 'last in, first out')
atexit.register(lambda: 1 / 0)
print('body')
""",
    "atexit_after_exception": "import atexit\natexit.register(print, 'bye')\n1 / 0",
    "threads_are_awaited": """
import atexit, threading, time
atexit.register(print, 'atexit')
def work():
    time.sleep(0.2)
    print('thread done', threading.current_thread().name)
threading.Thread(target=work, name='worker').start()
threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
print('main done')
""",
    "thread_exception": "import threading\nt = threading.Thread(target=lambda: 1 / 0, name='t')\nt.start(); t.join()",
    "executor": """
from concurrent.futures import ThreadPoolExecutor
pool = ThreadPoolExecutor(2)
print(list(pool.map(abs, [-1, 2])))
pool.submit(print, 'late')
""",
    "deleted_at_the_end": "class Held:\n    def __del__(self):\n        print('del', self)\nheld = Held()\n",
    "order_of_streams": "import sys\nfor i in range(3):\n    print('out', i)\n    print('err', i, file=sys.stderr)",
    "no_newline_at_the_end": "print('half', end='')",
    "input_at_its_end": "input('name? ')",
    "stdin_is_empty": "import sys\nprint(repr(sys.stdin.read()), sys.stdin.isatty())",
    "dataclasses_and_pickle": """
import pickle
from dataclasses import dataclass, field
@dataclass
class Config:
    lr: float
    tags: list[str] = field(default_factory=list)
class Model:
    class Part: ...
restored = pickle.loads(pickle.dumps([Config(0.1, ['a']), Model(), Model.Part()]))
print(restored[0], type(restored[1]) is Model, type(restored[2]) is Model.Part, Config.__module__)
""",
    "typing_of_main": """
from typing import NamedTuple, TypedDict, get_type_hints
from enum import Enum
class Point(NamedTuple):
    x: 'int'
class Kind(Enum):
    A = 1
x: int = 3
print(Point(1), get_type_hints(Point), Kind.A, __annotations__)
""",
    "module_beside": "import beside, os\nfrom beside.data import TEXT\nprint(TEXT, os.path.basename(__file__), beside.__name__)",
    "runs_python": """
import subprocess, sys
code = "import sys; print(sys.argv[1:], sys.flags.optimize, sys.stdin.read()); sys.exit(5)"
print(subprocess.run([sys.executable, '-c', code, 'a'], input='given', text=True).returncode)
""",
    "runs_itself": """
import os, sys
print('run', sys.argv[1:])
sys.stdout.flush()
if len(sys.argv) < 3:
    os.execv(sys.executable, [sys.executable, *sys.argv, 'again'])
""",
    "own_signal_handler": """
import os, signal
signal.signal(signal.SIGUSR1, lambda number, frame: print('usr1', frame.f_code.co_name))
signal.signal(signal.SIGTERM, lambda number, frame: print('term'))
os.kill(os.getpid(), signal.SIGUSR1)
os.kill(os.getpid(), signal.SIGTERM)
print('on')
""",
    "alarm": "import signal\nsignal.setitimer(signal.ITIMER_REAL, 0.05)\nsignal.pause()",
    "asyncio": "import asyncio\nasync def main():\n    await asyncio.sleep(0)\n    print('ran')\nasyncio.run(main())",
    "recursion": "def f(n): return f(n + 1)\ntry:\n    f(0)\nexcept RecursionError:\n    print('deep')",
    "logging": "import logging\nlogging.basicConfig(level='INFO')\nlogging.getLogger('x').warning('warned')",
    "runpy": "import runpy\nprint(sorted(runpy.run_path('beside/data.py')['TEXT']))",
    "closed_streams": "import sys\nprint('x')\nsys.stdout.close()",
    "replaced_streams": "import io, sys\nsys.stderr = io.StringIO()\nprint('seen')\nprint('lost', file=sys.stderr)",
}  # fmt: skip
ADDRESS = re.compile("0x[0-9a-f]+")
MULTIPROCESSING = """
import multiprocessing, os, sys
from dataclasses import dataclass
@dataclass
class Item:
    n: int
def double(item):
    return Item(2 * item.n), __name__
def fail():
    sys.exit(3)
if __name__ == '__main__':
    context = multiprocessing.get_context('{method}')
    with context.Pool(2) as pool:
        print([(type(item) is Item, item.n, name) for item, name in pool.map(double, [Item(1), Item(2)])])
    process = context.Process(target=fail)
    process.start(); process.join()
    print(process.exitcode, multiprocessing.parent_process())
    hung = context.Process(target=os.read, args=(os.pipe()[0], 1))
    hung.start(); hung.terminate(); hung.join()
    print(hung.exitcode)
    shared = context.Value('i', 3)
    print(shared.value, context.Queue().empty())
"""


@pytest.fixture(scope="module")
def shop(shared):
    """Where the programs of this module are, with a package beside them."""
    shared.script("TEXT = 'beside'\n", "beside/data.py")
    shared.script("from . import data\n", "beside/__init__.py")
    shared.script("def g():\n    raise ImportError('half of it is missing')\ng()\n", "beside/broken.py")
    return shared


def both(bench, script, *args, kind=ProgramKind.SCRIPT, flags=()):
    """Run a program as a trial and as Python does; return (how it ended, what it printed) of each."""
    trial = bench.run(script, *args, kind=kind, flags=flags)
    ended = trial.ended()
    ours = -ended.signal if ended.signal is not None else ended.exit_code
    way = ("-m",) if kind is ProgramKind.MODULE else ()
    code, output = python(script, *args, flags=(*flags, *way), cwd=bench.dir)
    return trial, (ours, ADDRESS.sub("0x", trial.log)), (code, ADDRESS.sub("0x", output))


@pytest.mark.parametrize("name", SAME)
def test_a_program_does_what_it_does_by_itself(shop, name):
    """Exit code or signal and all output, tracebacks without our frames included, are those of `python script.py`."""
    text = SAME[name]
    script = shop.dir / "run.py"  # one file, one server
    script.write_bytes(text.encode("latin-1" if name == "declared_encoding" else "utf-8"))
    _, ours, theirs = both(shop, script)
    assert ours == theirs


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing_works_by_every_method(shop, method):
    """Pools, classes of __main__ by pickle, exit codes, terminate(), shared values: the same as without us."""
    _, ours, theirs = both(shop, shop.script(MULTIPROCESSING.replace("{method}", method), "multi.py"))
    assert ours == theirs
    assert ours[0] == 0


@pytest.mark.parametrize(
    "flags",
    [(), ("-u",), ("-O",), ("-OO",), ("-W", "error::UserWarning"), ("-B", "-b"), ("-X", "dev"), ("-X", "faulthandler")],
    ids=" ".join,
)
def test_a_script_finds_what_python_gives_it(shop, flags):
    """argv, sys.path, __file__, __spec__, flags, warning filters, streams, signals, threads, open files: as in a fresh Python."""
    _, ours, theirs = both(shop, PROGRAMS / "facts.py", "--lr=0.1", "a b", flags=flags)
    assert ours[0] == theirs[0] == 0
    assert json.loads(ours[1]) == json.loads(theirs[1])


def test_a_relative_path_a_link_and_pythonpath_mean_the_same(bench, monkeypatch):
    """`python link.py` in another directory: sys.path[0] is where the file is, and a relative PYTHONPATH counts from there."""
    monkeypatch.setenv("PYTHONPATH", f"lib{os.pathsep}/nowhere")
    monkeypatch.setenv("PYTHONHASHSEED", "0")
    bench.script(
        "import sys, helper\nprint(helper.__file__, __file__, sys.argv, sys.path[0], helper.X)\n", "code/train.py"
    )
    bench.script("X = 1\n", "code/helper.py")
    bench.script("X = 2\n", "lib/helper.py")
    (bench.dir / "link.py").symlink_to("code/train.py")
    trial = bench.run("link.py", "x")
    assert (0, trial.log) == python("link.py", "x", cwd=bench.dir)


def test_what_lies_beside_the_script_comes_before_what_was_preloaded(bench):
    """A module or package of the user's own with a library's name is the one that is imported; a plain folder is not."""
    bench.script("X = 'mine'\n", "tensorboard/__init__.py")
    bench.script("X = 'mine'\n", "json.py")
    (bench.dir / "numpy").mkdir()
    script = bench.script("import json, numpy, tensorboard\nprint(json.X, tensorboard.X, numpy.__version__ > '1')\n")
    trial = bench.run(script)
    assert trial.log == python(script, cwd=bench.dir)[1] == "mine mine True\n"


def test_modules_and_packages_run_as_with_dash_m(shop):
    """`python -m pkg.mod` and `python -m pkg`: relative imports, __spec__, __package__, argv and errors are the same."""
    shop.script(
        "import sys\nfrom . import other\nprint(__spec__.name, __package__, sys.argv[1:], sys.path[0], other.X)\n",
        "pkg/mod.py",
    )
    shop.script("X = 1\n", "pkg/other.py")
    shop.script("", "pkg/__init__.py")
    shop.script("from .other import X\nprint(__name__, __spec__.name)\n1 / 0\n", "pkg/__main__.py")
    for module in ("pkg.mod", "pkg"):
        _, ours, theirs = both(shop, module, "--x=1", kind=ProgramKind.MODULE)
        assert ours == theirs
    assert ours[0] == 1


def test_what_was_written_and_not_closed_is_on_disk(shop):
    """Open files, an archive and a C library's output, all left to the interpreter's end, are complete."""
    script = shop.script(
        "import ctypes, gzip\n"
        "import beside.data\n"
        "text = open('open.txt', 'w'); text.write('text')\n"
        "raw = open('open.bin', 'wb'); raw.write(b'raw')\n"
        "archive = gzip.open('open.gz', 'wb'); archive.write(b'zipped')\n"
        "beside.data.held = open('held.txt', 'w'); beside.data.held.write('held')\n"
        "ctypes.CDLL(None).printf(b'from C\\n')\n"
    )
    trial = shop.run(script)
    assert (shop.dir / "open.txt").read_text() == "text"
    assert (shop.dir / "open.bin").read_bytes() == b"raw"
    assert gzip.decompress((shop.dir / "open.gz").read_bytes()) == b"zipped"
    assert (shop.dir / "held.txt").read_text() == "held"
    assert trial.log == "from C\n"


def test_a_crash_shows_its_traceback_when_asked(shop):
    """With faulthandler a segmentation fault is in the log, and the signal is the trial's end."""
    script = shop.script(
        "import faulthandler\nfaulthandler.enable()\nprint('x')\nfaulthandler._sigsegv()\n", "segfault.py"
    )
    trial = shop.run(script)
    assert (trial.ended().cause, trial.ended().signal) == (Cause.KILLED, signal.SIGSEGV)
    assert "Fatal Python error: Segmentation fault" in trial.log
    assert f'File "{script}", line 4 in <module>' in trial.log


def test_output_is_seen_while_the_program_runs(shop, tmp_path):
    """A line is in the log as soon as it is printed, without a flush."""
    script = shop.script("import time\nprint('up')\ntime.sleep(1000)\n", "live.py")
    trial = shop.start(script)
    assert trial.printed("up") == "up\n"
    trial.stop(kill=True)
    assert trial.ended().cause is Cause.STOPPED


NUMBERS = """
import json, os, random, sys
import numpy, torch
print(json.dumps([random.random(), numpy.random.rand(), torch.rand(1).item(), os.environ.get('SWEEP_TRIAL_SEED')]))
print(torch.get_num_threads(), os.environ['OMP_NUM_THREADS'], os.environ['MKL_NUM_THREADS'], file=sys.stderr)
"""


def test_random_numbers_are_each_trials_own(shared):
    """Without a seed no two children draw the same number; the same from a warm server and a cold start."""
    script = shared.script(NUMBERS, "draws.py")
    draws = [json.loads(shared.run(script).log.splitlines()[0]) for _ in range(3)]
    for column in zip(*(draw[:3] for draw in draws), strict=True):
        assert len(set(column)) == 3
    assert [draw[3] for draw in draws] == [None] * 3


def test_a_seed_decides_all_random_numbers(shared):
    """The same seed gives the same numbers in random, numpy and torch, preloaded or not; another gives others."""
    script = shared.script(NUMBERS, "draws.py")
    first, again, other = (json.loads(shared.run(script, seed=s).log.splitlines()[0]) for s in (7, 7, 8))
    late = json.loads(shared.run(script, seed=7, preload=()).log.splitlines()[0])
    assert first == again == late
    assert first[3] == "7"
    assert all(a != b for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize(("cpus", "n_threads"), [(2.0, 2), (1.5, 1), (0.5, 1)])
def test_threads_follow_the_share_of_cpus(bench, monkeypatch, cpus, n_threads):
    """Torch and the libraries that read an environment variable use the trial's CPUs and no more."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    assert bench.run(bench.script(NUMBERS), cpus=cpus).log.splitlines()[1] == f"{n_threads} {n_threads} {n_threads}"


def test_a_users_own_thread_count_stays(bench, monkeypatch):
    """Who exported OMP_NUM_THREADS meant it."""
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    script = bench.script("import os\nprint(os.environ['OMP_NUM_THREADS'], os.environ.get('MKL_NUM_THREADS'))")
    assert bench.run(script, cpus=1.0).log == "3 None\n"


def test_functions_get_the_config_or_nothing(bench):
    """`module:function` runs with the config if it takes one argument; its arguments, return value and errors count."""
    bench.script(
        "def plain():\n    import sys\n    print('plain', sys.argv[1:])\n"
        "def tuned(config):\n    return {'loss': config['lr'] * 2}\n"
        "class Holder:\n    @staticmethod\n    def inner(config):\n        yield {'loss': 1}\n        yield {'loss': 2}\n"
        "def broken(config):\n    raise ValueError('bad lr')\n",
        "mine.py",
    )
    run = lambda name: bench.run(f"mine:{name}", "--lr=0.5", kind=ProgramKind.OBJECT, config={"lr": 0.5}, metric=None)  # noqa: E731
    assert run("plain").log == "plain ['--lr=0.5']\n"
    assert run("tuned").series("loss") == [1.0]
    assert run("Holder.inner").series("loss") == [1.0, 2.0]
    broken = run("broken")
    assert (broken.ended().cause, broken.ended().error) == (Cause.FAILED, "ValueError: bad lr")
    assert "orchestrator" not in broken.log
    missing = run("nothing")
    assert missing.ended().error == "AttributeError: module 'mine' has no attribute 'nothing'"


def test_a_pickled_function_runs_where_no_module_has_it(bench):
    """A function of a notebook travels by value."""
    namespace: dict = {"__name__": "__main__", "factor": 3}
    exec("def train(config):\n    return {'loss': factor * config['lr']}", namespace)
    path = bench.dir / "function.pkl"
    function_file.write(path, namespace["train"])
    assert bench.run(path, kind=ProgramKind.PICKLE, config={"lr": 2.0}).series("loss") == [6.0]


def test_a_cold_start_is_the_same_python(bench):
    """A program that cannot be forked begins in a fresh interpreter, with everything else as it was."""
    bench.script(
        "import threading, time\nthreading.Thread(target=time.sleep, args=(1000,), daemon=True).start()\n",
        "lib/threaded.py",
    )
    bench.script(
        "import orchestrator, sys\norchestrator.report(loss=1.0)\nprint(sys.argv[1:], __name__)\nsys.exit(3)\n"
    )
    trial = bench.run("train.py", "x", env={"PYTHONPATH": "lib"}, preload=("threaded",), flags=("-O",))
    assert trial.started().cold_reason.startswith("an import started threads (Thread-1")
    assert trial.log == "['x'] __main__\n"
    assert trial.series("loss") == [1.0]
    assert (trial.ended().cause, trial.ended().exit_code) == (Cause.FAILED, 3)
    assert sys.executable in trial.launch.argv


def test_a_commands_python_is_that_of_the_sweep(bench, monkeypatch):
    """`python` and `torchrun` of a command are found beside the sweep's interpreter, activated or not."""
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    command = ["/usr/bin/env", "python", "-c", "import sys; print(sys.prefix)"]
    assert bench.run(command, kind=ProgramKind.COMMAND).log.strip() == sys.prefix
