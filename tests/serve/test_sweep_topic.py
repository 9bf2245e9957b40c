import json
import os
import subprocess
import sys
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path

import pytest

from orchestrator.ledger.lock import controlling
from orchestrator.ledger.records import Outlook, SweepState, TrialState
from orchestrator.reporting.labels import note
from orchestrator.serve import shell
from orchestrator.serve.compare_topic import CompareTopic
from orchestrator.serve.sweep_topic import SweepTopic
from orchestrator.serve.trial_topic import TrialTopic
from orchestrator.trial.contract.events import Cause
from tests.reporting.planted import SPEC, plant
from tests.serve.live import CONFIG, Sweep

DENO = Path(sys.executable).with_name("deno")
PUT_TOGETHER = """
const { apply } = await import("%s/live.js");
const [state, changes] = JSON.parse(await new Response(Deno.stdin.readable).text());
let { data, head } = state;
for (const change of changes) {
  apply(data, change);
  head = change.head ?? head;
}
console.log(JSON.stringify({ data, head }));
"""
MAY_DIFFER = ("now", "elapsed_s", "eta_s", "eta_range_s", "running")


class AtOnce:
    """An executor without threads."""

    def submit(self, work, *arguments):
        done = Future()
        done.set_result(work(*arguments))
        return done


class Never:
    """An executor that never comes to its work."""

    def submit(self, *_):
        return Future()


def looked(topic):
    """What a look tells, however short ago the last one was."""
    topic._due_s = topic._lanes_pace._due_s = topic._holder_pace._due_s = 0.0
    topic.update()


def put_together(whole, changes, tmp_path):
    """What the page has after the whole state and some changes, by its own script."""
    (tmp_path / "put.ts").write_text(PUT_TOGETHER % (shell.HERE / "scripts").as_uri())
    done = subprocess.run(
        [DENO, "run", "--no-config", "--no-check", "--allow-read", "put.ts"],
        input=json.dumps([whole, changes]),
        cwd=tmp_path,
        env=os.environ | {"DENO_DIR": str(tmp_path / "deno"), "DENO_NO_UPDATE_CHECK": "1", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def drawn(state):
    """A state as the page shows it: labels by their text, curves by their points, no clocks."""
    data = json.loads(json.dumps(state["data"]))
    curves = data.pop("curves")
    data["curves"] = {t: [curves["positions"][p], v] for t, (p, v) in sorted(curves["by_trial"].items())}
    for axis in data["axes"]:
        labels = axis.pop("labels", None)
        axis["values"] = [None if v is None else labels[v] if labels else v for v in axis["values"]]
    for lane in data["lanes"]:
        lane["bars"] = [bar[:2] for bar in lane["bars"]]
    return {"data": data, "head": {k: v for k, v in state["head"].items() if k not in MAY_DIFFER}}


def states(topic, last):
    events = topic.after(last, 0)
    return [json.loads(event.data) for event in events], [event.name for event in events], events[-1].id


def test_the_clock_of_a_sweep_that_is_over_stands(tmp_path):
    """It has taken as long as its controllers have worked, whenever the last of them began."""
    sweep_dir = plant(tmp_path, n=2)
    sweep = Sweep(sweep_dir)
    sweep.ledger.bulletin.set_outlook(Outlook(began=0.0, slots=1, total=2, problem=None))
    sweep.ledger.sweep.set_state(SweepState.FINISHED, "all trials are done", active_s=77.0)
    (whole,), _, _ = states(SweepTopic(sweep_dir, Never()), None)
    assert whole["head"]["elapsed_s"] == 77.0


def test_what_is_told_of_a_running_sweep_comes_to_what_it_is(tmp_path):
    """Whole state and changes together, put together by the page's script, are what somebody gets who comes later."""
    sweep_dir = plant(tmp_path, n=12, until=60)
    sweep = Sweep(sweep_dir)
    sweep.ledger.sweep.set_state(SweepState.RUNNING)
    with controlling(sweep_dir.lock_path):
        topic = SweepTopic(sweep_dir, Never())
        (whole,), (name,), last = states(topic, None)
        assert name == "all"
        assert whole["head"]["lives"]
        looked(topic)
        number = sweep.begin(CONFIG)
        looked(topic)
        sweep.report(number, 0.3, 0.5)
        looked(topic)
        sweep.report(number, 0.7, float("nan"), 0.999)
        other = sweep.begin({**CONFIG, "batch_size": 7, "lr": 0.5})
        note(sweep_dir, [2], "keep an eye on it")
        looked(topic)
        sweep.end(number)
        sweep.end(other, Cause.FAILED, TrialState.FAILED, "ValueError: no")
        looked(topic)
        changes, names, _ = states(topic, last)
        assert set(names) == {"change"}
        again = SweepTopic(sweep_dir, Never())
        again.after(None, 0)
        looked(again)
        again._whole = None
        later = json.loads(again._all().data)
        mine, theirs = drawn(put_together(whole, changes, tmp_path)), drawn(later)
        assert "crashed" in json.dumps(mine["data"].pop("flags"))  # those that who comes later is told by the analysis
        theirs["data"].pop("flags")
        assert mine == theirs
        assert mine["data"]["ranked"][0] == number
        topic.close()
        again.close()
    sweep.ledger.close()


def test_a_description_is_shown_and_is_nothing_that_was_said(tmp_path):
    """It is the spec's: who writes a note does not begin with it."""
    topic = SweepTopic(plant(tmp_path, n=1, spec=f"description: first try\n{SPEC}"), Never())
    (whole,), _, _ = states(topic, None)
    assert (whole["head"]["about"], whole["head"]["words"]) == ("first try", "")
    topic.close()


def test_nothing_is_told_where_nothing_happens(tmp_path):
    """A finished sweep is read once; what is computed of it is told when it is there, with the parameters in their order."""
    sweep_dir = plant(tmp_path, n=30)
    topic = SweepTopic(sweep_dir, AtOnce())
    (whole,), _, last = states(topic, None)
    assert whole["sections"] is None
    assert whole["data"]["axes"][0]["name"] == "batch_size"
    looked(topic)
    looked(topic)
    (again,), names, last = states(topic, last)
    assert names == ["all"]
    assert again["data"]["axes"][0]["name"] == "lr"
    assert "How sure" in again["sections"]
    for _ in range(3):
        looked(topic)
    assert topic.after(last, 0) == []
    topic.close()


def test_a_sweep_that_ends_says_so(tmp_path):
    """Its controller goes; the ledger says how."""
    sweep_dir = plant(tmp_path, n=4)
    topic = SweepTopic(sweep_dir, Never())
    sweep = Sweep(sweep_dir)
    with controlling(sweep_dir.lock_path):
        sweep.ledger.sweep.set_state(SweepState.RUNNING)
        (whole,), _, last = states(topic, None)
        assert whole["head"]["state"] == "running"
        looked(topic)
        _, _, last = states(topic, last)
        sweep.ledger.sweep.set_state(SweepState.FINISHED, reason="all 4 trials are done")
    looked(topic)
    (change,), _, _ = states(topic, last)
    assert (change["head"]["state"], change["head"]["lives"]) == ("finished", False)
    topic.close()
    sweep.ledger.close()


@pytest.mark.parametrize(
    ("make", "shown"),
    [
        (lambda sweep_dir: SweepTopic(sweep_dir, Never()), lambda state: len(state["data"]["state"])),
        (lambda sweep_dir: TrialTopic(sweep_dir, 3), lambda state: state["trial"]["state"]),
        (lambda sweep_dir: CompareTopic([(sweep_dir, 3)]), lambda state: state["trials"][0]["state"]),
    ],
)
def test_another_ledger_in_its_place_is_read_anew(tmp_path, make, shown):
    """`sweep repair` puts a file in the other's place: the whole state is told."""
    sweep_dir = plant(tmp_path / "a", n=4)
    other = plant(tmp_path / "b", n=6)
    sweep = Sweep(other)
    sweep.ledger.retry(3, "its user wants it again")
    sweep.ledger.close()
    with closing(make(other)) as topic:
        wanted = shown(states(topic, None)[0][0])
    topic = make(sweep_dir)
    (before,), _, last = states(topic, None)
    assert shown(before) != wanted
    topic.update()
    for path in sweep_dir.path.glob("ledger.sqlite*"):
        path.unlink()
    other.ledger_path.rename(sweep_dir.ledger_path)
    topic._due_s = 0.0
    topic.update()
    (whole,), names, _ = states(topic, last)
    assert (names, shown(whole)) == (["all"], wanted)
    topic.close()


def test_a_sweep_that_is_gone_is_an_error(tmp_path):
    """One that was moved to the trash, say."""
    sweep_dir = plant(tmp_path, n=3)
    topic = SweepTopic(sweep_dir, Never())
    topic.after(None, 0)
    sweep_dir.path.rename(tmp_path / "elsewhere")
    with pytest.raises(Exception, match="ledger"):
        looked(topic)
    topic.close()
