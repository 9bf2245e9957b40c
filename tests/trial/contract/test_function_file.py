import subprocess
import sys

from orchestrator.trial.contract.function_file import mentioned, write

SCRIPT = """
import sys
from pathlib import Path
import xml.dom
import neighbour
from orchestrator.trial.contract.function_file import write

FACTOR = 3

class Model:
    def value(self):
        return FACTOR * neighbour.VALUE

def train():
    if FACTOR == 0:
        import torch.optim
    assert xml.dom.Node
    return Model().value()

write(Path(sys.argv[1]), train)
"""


def test_a_function_travels_with_what_its_script_defines_and_finds_its_imports(tmp_path):
    """Another process, elsewhere, calls it without the script; its modules can be told from the file without importing any."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "neighbour.py").write_text("VALUE = 14\n")
    script, file = tmp_path / "code" / "script.py", tmp_path / "function.pkl"
    script.write_text(SCRIPT)
    subprocess.run([sys.executable, script, file], check=True, cwd=tmp_path)
    script.unlink()
    call = "import sys, cloudpickle; print(cloudpickle.load(open(sys.argv[1], 'rb'))())"
    done = subprocess.run([sys.executable, "-c", call, file], cwd="/", capture_output=True, text=True, check=True)
    assert done.stdout == "42\n"
    texts, places = mentioned(file)
    assert {"xml.dom", "neighbour", "torch.optim"} <= texts
    assert places == (str(tmp_path / "code"),)


def test_a_function_file_is_replaced_as_a_whole(tmp_path):
    """A worker that starts a trial meanwhile reads the old one or the new one."""
    path = tmp_path / "function.pkl"
    write(path, lambda: 1)
    write(path, lambda: 2)
    assert [entry.name for entry in tmp_path.iterdir()] == ["function.pkl"]
