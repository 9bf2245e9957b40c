import math
import struct

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import metadata, summary_v2

from orchestrator.trial.contract.launch import Launch, Program, ProgramKind
from orchestrator.trial.formats.eventfile import (
    END_NAME,
    EventFile,
    begin_session,
    end_session,
    ended_well,
    event_scalar,
    flat_hparams,
    trial_file,
    write_experiment,
)


def test_files_are_named_in_the_order_they_are_read(tmp_path):
    """TensorBoard may leave a file once it knows a later name: ours come before the program's own, the end after all."""
    from torch.utils.tensorboard import SummaryWriter

    names = []
    for attempt in (0, 1):
        trial_file(tmp_path, attempt).close()
        names.append(max(path.name for path in tmp_path.iterdir()))
    with SummaryWriter(str(tmp_path)) as writer:
        writer.add_scalar("a", 1.0, 0)
    names.append(max(path.name for path in tmp_path.iterdir()))
    end_session(tmp_path, succeeded=True)
    names.append(max(path.name for path in tmp_path.iterdir()))
    assert names == sorted(set(names))
    assert names[-1] == END_NAME


def test_a_session_ends_once_until_it_begins_again(tmp_path):
    """The first to tell the end is believed; a further attempt takes it back."""
    end_session(tmp_path, succeeded=False)
    first = (tmp_path / END_NAME).read_bytes()
    end_session(tmp_path, succeeded=True)
    assert (tmp_path / END_NAME).read_bytes() == first
    program = Program(kind=ProgramKind.SCRIPT, target="train.py")
    places = {"cwd": str(tmp_path), "trial_dir": str(tmp_path), "argv": ()}
    launch = Launch(sweep_id="s", sweep_name="s", trial=0, attempt=1, program=program, config={"lr": 0.1}, **places)
    file = begin_session(launch)
    file.scalars({"loss": 0.5}, 3)
    file.close()
    assert not (tmp_path / END_NAME).exists()
    run = EventAccumulator(str(tmp_path))
    run.Reload()
    assert [(e.step, e.value) for e in run.Scalars("loss")] == [(3, 0.5)]


@pytest.mark.parametrize("succeeded", [True, False])
def test_how_a_session_ended_is_read_back(tmp_path, succeeded):
    """As it was written; of a trial without an end, or whose file is cut off or damaged, nobody can tell."""
    assert ended_well(tmp_path) is None
    end_session(tmp_path, succeeded=succeeded)
    assert ended_well(tmp_path) is succeeded
    file = tmp_path / END_NAME
    whole = file.read_bytes()
    for damaged in (whole[:-4], b"x", b""):
        file.write_bytes(damaged)
        assert ended_well(tmp_path) is None


def test_the_experiment_is_what_tensorboard_would_write(tmp_path):
    """Hyperparameters with their types and domains, and metrics, as TensorBoard's own message has them."""
    domains = {"lr": (0.0, 1.5), "n": [3, 1, 2.5], "ok": [True, False], "s": ["b", None, 1]}
    write_experiment(tmp_path, domains, {"loss": "loss (last)", "objective/loss": "loss"})
    (file,) = tmp_path.iterdir()
    ours = [value for event in EventFileLoader(str(file)).Load() for value in event.summary.value]
    theirs = {
        "lr": summary_v2.RealInterval(0.0, 1.5),
        "n": summary_v2.Discrete([1.0, 2.5, 3.0]),
        "ok": summary_v2.Discrete([False, True]),
        "s": summary_v2.Discrete(["1", "None", "b"]),
    }
    metrics = [summary_v2.Metric("loss", display_name="loss (last)")]
    metrics.append(summary_v2.Metric("objective/loss", display_name="loss"))
    hparams = [summary_v2.HParam(name, domain) for name, domain in theirs.items()]
    expected = summary_v2.hparams_config_pb(hparams=hparams, metrics=metrics).value
    read = [metadata.parse_experiment_plugin_data(value.metadata.plugin_data.content) for value in (*ours, *expected)]
    assert [value.tag for value in ours] == [metadata.EXPERIMENT_TAG]
    assert read[0] == read[1]


def test_a_config_becomes_hyperparameters():
    """Flat names; booleans, numbers and text stay what they are, everything else is text of bounded length."""
    config = {"lr": 1, "ok": True, "o": {"n": None, "l": [1, 2]}, "s": "x" * 500}
    assert flat_hparams(config) == {"lr": 1.0, "ok": True, "o.n": "None", "o.l": "[1, 2]", "s": "x" * 200}


def test_taking_back_leaves_the_other_tags_as_they_were(tmp_path):
    """From step 0 on, too, with the hyperparameters; of earlier attempts as well; and what was void before stays void."""
    program = Program(kind=ProgramKind.SCRIPT, target="train.py")
    places = {"cwd": str(tmp_path), "trial_dir": str(tmp_path), "argv": ()}
    for attempt in (0, 1):
        launch = Launch(
            sweep_id="s", sweep_name="s", trial=0, attempt=attempt, program=program, config={"lr": 0.1}, **places
        )
        file = begin_session(launch)
        for step in range(4 * attempt, 4 * attempt + 4):
            file.scalars({"loss": step, "other": step}, step)
        if not attempt:
            file.close()
    before = len(next(iter(tmp_path.glob("*0000000001*"))).read_bytes())
    file.take_back({"loss"}, 9)
    file.take_back({"lacking"}, 0)
    assert len(next(iter(tmp_path.glob("*0000000001*"))).read_bytes()) == before
    file.take_back({"loss"}, 6)
    file.take_back({"loss"}, 2)
    assert shown(tmp_path) == {"loss": [0, 1], "other": list(range(8))}
    file.take_back({"other"}, 0)
    file.scalars({"other": 7}, 7)
    assert shown(tmp_path) == {"loss": [0, 1], "other": [7]}
    file.close()


def shown(directory):
    run = EventAccumulator(str(directory)).Reload()
    assert run.PluginTagToContent("hparams")
    assert run.Tensors("_hparams_/session_start_info")
    return {tag: [e.step for e in run.Scalars(tag)] for tag in ("loss", "other")}


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ({"simple_value": 0.1}, 0.1),
        ({"tensor": {"dtype": 1, "float_val": [0.1]}}, 0.1),
        ({"tensor": {"dtype": 1, "tensor_content": struct.pack("<f", 0.1)}}, 0.1),
        ({"tensor": {"dtype": 1, "float_val": [1.0], "tensor_shape": {"dim": [{"size": 1}]}}}, None),
        ({"tensor": {"dtype": 1, "float_val": [1.0]}, "metadata": {"plugin_data": {"plugin_name": "images"}}}, None),
    ],
)
def test_a_scalar_is_read_in_every_form_that_writers_use(value, found):
    """As a number of its own, in a tensor, or as a tensor's bytes; what is no scalar is none."""
    assert event_scalar(Summary.Value(tag="loss", **value)) == found


@pytest.mark.parametrize("step", [0, 127, 128, 2**40, -1])
def test_scalars_that_come_again_are_written_alike(tmp_path, step):
    """The shape that is kept for tags gives what TensorBoard reads, also where no shape can hold a number."""
    file = EventFile(tmp_path, "events.out.tfevents.1")
    rows = [
        {"a": 0.5, "b/é": math.inf},
        {"a": -1.25, "b/é": -0.0},
        {"a": 1e300, "b/é": 1.0},
        {"a": 2.0, "b/é": math.nan},
    ]
    for row in rows:
        file.scalars(row, step)
    file.close()
    events = list(EventFileLoader(str(file.path)).Load())[1:]
    assert [event.step for event in events] == [step] * len(rows)
    found = [[(value.tag, event_scalar(value)) for value in event.summary.value] for event in events]
    expected = [[(name, math.inf if value == 1e300 else value) for name, value in row.items()] for row in rows]
    assert repr(found) == repr(expected)
