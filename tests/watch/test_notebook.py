import nbformat
import pytest
from nbclient import NotebookClient

from tests.scripts import environment

CELLS = [
    """
import wandb
from orchestrator import agent, load, sweep

sweep_configuration = {
    "method": "random",
    "metric": {"goal": "maximize", "name": "score"},
    "parameters": {
        "lr": {"min": 0.0001, "max": 0.1},
        "dropout": {"values": [0.1, 0.3, 0.5]},
        "batch_size": {"values": [16, 32, 64]},
    },
}
scale = 2.0

def main():
    run = wandb.init()
    for epoch in range(3):
        run.log({"score": scale * wandb.config.lr * epoch})
""",
    'sweep_id = sweep(sweep=sweep_configuration, project="notebook")\nagent(sweep_id, function=main, count=3)',
    """
import os, signal

def slow():
    wandb.init().log({"score": 0.0})
    os.kill(KERNEL, signal.SIGINT)
    while True:
        signal.pause()

KERNEL = os.getpid()
try:
    agent(sweep_id, slow, count=1)
except KeyboardInterrupt:
    print("stopped")
""",
    "agent(sweep_id, main, count=1)",
    "results = load(sweep_id)\nresults",
    """
columns = {"lr", "state", "score"} & {*results.df.columns}
print(len(results), {trial.state for trial in results}, sorted(columns), len(results[0].history))
""",
]


@pytest.mark.ray
def test_a_notebook_runs_stops_and_continues_a_sweep(tmp_path, monkeypatch):
    """Functions of the notebook reach the trials; each cell has one output that fits a notebook; the stop button keeps all."""
    for name, value in environment(PYDEVD_DISABLE_FILE_VALIDATION="1").items():
        monkeypatch.setenv(name, value)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in CELLS])
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    texts = [[text_of(output) for output in cell.outputs] for cell in notebook.cells]
    created, ran = texts[1]
    assert created.startswith("Create sweep with ID: ")
    assert "3/3 done" in ran
    assert "\nbest score " in ran
    shown, stopped = texts[2]
    assert "interrupted" in shown
    assert stopped == "stopped\n"
    assert "4/4 done" in texts[3][0]
    (results,) = notebook.cells[4].outputs
    assert "4 trials, best score" in results.data["text/html"]
    assert texts[5] == ["4 {'finished'} ['lr', 'score', 'state'] 3\n"]
    outputs = [output for cell in notebook.cells for output in cell.outputs]
    assert "\\x1b" not in str(outputs)
    assert not [output for output in outputs if output.get("name") == "stderr"]


def text_of(output):
    return output.text if output.output_type == "stream" else output.data["text/plain"]
