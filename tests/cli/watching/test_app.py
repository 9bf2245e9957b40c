"""The screens as text and the keys as they are pressed, on ledgers that are written as a controller writes them."""

import asyncio
import socket
import time

import pytest
from textual.events import Key
from textual.keys import _character_to_key

from orchestrator.cli.watching.app import LEFT, Own, WatchApp
from orchestrator.cli.watching.looks import DARK_NAME, LIGHT_NAME
from orchestrator.cli.watching.rows import Rows
from orchestrator.ledger.records import SweepState, TrialState
from orchestrator.reporting import labels
from tests.cli.watching.live import Live

PATIENCE_S = 90.0


@pytest.fixture
def live(tmp_path):
    """A sweep with trials in every state: 0 and 1 finished, 2 failed, 3 stopped, 4 canceled, 5 and 6 run."""
    found = Live(tmp_path)
    for lr, act in (
        (0.1, "relu"),
        (0.2, "tanh"),
        (0.9, "relu"),
        (0.8, "tanh"),
        (0.7, "relu"),
        (0.3, "tanh"),
        (0.4, "relu"),
    ):
        number = found.begin(f"\x1b[32mhello\x1b[0m of lr {lr}\nprogress 10%\rprogress 100%\n", lr=lr, act=act)
        found.now += 2.0
        found.report(number, 4.0 * lr + 1.0, 2.0 * lr, 1.5 * lr)
    found.now += 30.0
    found.end(0), found.end(1)
    found.end(2, TrialState.FAILED, "ValueError: bad lr")
    found.end(3, TrialState.STOPPED, "rung 2: 1.6 is not in the top half of 4, cut 0.4")
    found.end(4, TrialState.CANCELED, "its user gave it up")
    yield found
    found.close()


def shown(app) -> str:
    """What is on the terminal, as text."""
    strips = app.screen._compositor.render_strips()
    return "\n".join(strip.text.rstrip() for strip in strips) + "\n"


class Driven:
    """An application that is driven: keys are pressed, and what follows is awaited."""

    def __init__(self, app, pilot):
        self.app, self.pilot = app, pilot

    async def press(self, *keys):
        await self.pilot.press(*keys)
        await self.pilot.pause()

    def press_at_once(self, *keys):
        """Press keys as a paste or a fast hand does: none of them waits for what follows from the one before."""
        for key in keys:
            self.app.post_message(Key(_character_to_key(key), key) if len(key) == 1 else Key(key, None))

    async def until(self, *texts, without=()):
        """Wait until all of the texts are to be seen, and none of the others; return what is."""
        end_s = time.monotonic() + PATIENCE_S
        while True:
            await self.pilot.pause(0.1)  # what is shown is drawn to be read
            now = shown(self.app)
            if all(text in now for text in texts) and not any(text in now for text in without):
                return now
            assert time.monotonic() < end_s, f"{texts} without {without} was never seen in\n{now}"

    def numbers(self) -> list[int]:
        """The trials of the table, in order."""
        return self.app.screen.trials.numbers


def drive(live, scenario, *, size=(100, 30), open_it=True):
    """Run an application on the sweep, and the scenario beside it."""

    async def run():
        app = WatchApp(live.dir.path.parent, live.dir if open_it else None, clock=live.clock)
        async with app.run_test(size=size) as pilot:
            driven = Driven(app, pilot)
            await driven.until("trial" if open_it else "sweep")
            await scenario(driven)

    asyncio.run(run())


@pytest.mark.parametrize("size", [(100, 30), (60, 20), (140, 24)])
def test_the_screen_of_a_sweep(live, golden, size):
    """Head, table, log and keys, on wide and narrow terminals."""

    async def scenario(driven):
        await driven.until("hello of lr", "progress 100%")
        golden(f"sweep-{size[0]}.txt", shown(driven.app))

    drive(live, scenario, size=size)


def test_the_list_of_sweeps(live, golden):
    """Every sweep with its state, trials and best; Enter opens one and Escape leads back."""
    other = Live(live.dir.path.parent, sweep_id="zzzz9999", name="older")
    other.close(SweepState.INTERRUPTED, "Ctrl-C")
    broken = live.dir.path.parent / "broken-bbbb0000"
    broken.mkdir()
    (broken / "ledger.sqlite").write_bytes(b"no database" * 1000)

    async def scenario(driven):
        seen = await driven.until("zzzz9999", "damaged")
        assert "interrupted" in seen
        await driven.press("slash", *"abcd", "enter")
        seen = await driven.until("abcd1234", without=["zzzz9999"])
        golden("sweeps.txt", seen.replace(str(live.dir.path.parent), "RUNS"))
        await driven.press("enter")
        await driven.until("hello of lr")
        await driven.press("escape")
        await driven.until("3 sweeps")

    drive(live, scenario, open_it=False)


def test_sorting_and_filtering(live):
    """The best first; by any column, turned around; a filter as the page has it, kept by Enter and taken away by Escape."""

    async def scenario(driven):
        await driven.until("hello")
        assert driven.numbers() == [0, 1, 5, 6, 3, 2, 4]
        await driven.press("o")
        assert driven.numbers()[:5] == [3, 6, 5, 1, 0]
        await driven.press("comma", "comma")
        assert driven.numbers() == [0, 1, 2, 3, 4, 5, 6]
        await driven.press("slash", *"lr>0.25 act=tanh", "enter")
        assert driven.numbers() == [3, 5]
        assert "2 of 7 trials" in shown(driven.app)
        await driven.press("slash", *" nope<3")
        await driven.until("there is no column nope")
        await driven.press("escape")
        assert driven.numbers() == [0, 1, 2, 3, 4, 5, 6]
        await driven.press("slash", *"nothing like it", "enter")
        await driven.until("no trial passes the filter")

    drive(live, scenario)


def test_keys_that_come_at_once_are_for_what_the_keys_before_have_opened(live):
    """A filter or a note that is pasted steers nothing; the cursor has moved before a key asks for something of its trial."""

    async def scenario(driven):
        await driven.until("hello")
        driven.press_at_once(*"/lr<0.35 p=x")
        await driven.until("lr<0.35 p=x", "there is no column p")
        await driven.press("escape")
        driven.press_at_once(*"/lr<0.15", "enter")
        await driven.until("1 of 7")
        driven.press_at_once("/", "ctrl+u", *"lr<0.255", "backspace", "enter")
        await driven.until("lr<0.25")
        assert driven.app.screen.where == "lr<0.25"
        driven.press_at_once(*"/act=relu", "enter", *"px")
        await driven.until("act=relu", without=["px"])
        assert driven.app.screen.where == "act=relu"
        await driven.press("escape")
        driven.press_at_once(*"/lr<0.15 p", "escape", *"px")
        await driven.press("u")
        await driven.until("hello", without=["lr<0.15"])
        assert driven.numbers() == [0, 1, 5, 6, 3, 2, 4]
        driven.press_at_once(*"jjjsy")
        await driven.until("Stop trial 6?")
        await driven.press("n")
        driven.press_at_once(*"npx S")
        await driven.until("Tags and note of trial 6")
        assert driven.app.screen._line.value == "px S"
        assert live.asked() == []

    drive(live, scenario)


def test_columns_in_which_all_are_the_same_are_hidden(live):
    """`c` shows them."""

    async def scenario(driven):
        assert "GPU 0" not in await driven.until("hello")
        await driven.press("c")
        await driven.until("GPU 0")
        await driven.press("c")
        await driven.until("lr", without=["GPU 0"])

    drive(live, scenario, size=(140, 30))


def test_trials_are_steered(live):
    """Stop, cancel and retry ask first; no means no; what cannot be had is said; marked trials are meant together."""

    async def scenario(driven):
        await driven.until("hello")
        await driven.press("s")
        await driven.until("cannot stop trial 0: it is over (finished)")
        await driven.press("j", "j", "s")
        await driven.until("Stop trial 5?")
        await driven.press("n")
        await driven.until("nothing was asked for")
        assert live.asked() == []
        await driven.press("s")
        await driven.until("Stop trial 5?")
        await driven.press("y")
        await driven.until("trial 5: asked to end; what it showed counts")
        assert live.asked() == ["stop trial 5"]
        await driven.press("space", "space")
        await driven.until("2 marked", "● 5", "● 6")
        await driven.press("x")
        await driven.until("Cancel trials 5, 6? For good")
        await driven.press("y")
        await driven.until("trials 5, 6: given up for good")
        assert live.asked() == ["cancel trial 5", "cancel trial 6"]
        await driven.press("u", "g", "r")
        await driven.until("Retry trial 0? It gets another attempt.")
        await driven.press("y")
        await driven.until("trial 0: runs again")
        assert live.asked() == ["retry trial 0"]

    drive(live, scenario)


def test_the_sweep_is_steered(live):
    """Pause and go on, more and fewer trials at once; the end of all of it asks first."""

    async def scenario(driven):
        await driven.until("hello")
        await driven.press("plus")
        await driven.until("there is no limit: 3 trials fit at once")
        await driven.press("minus")
        await driven.until("concurrency 3 → 2")
        assert live.asked() == ["set concurrency=2"]
        await driven.press("p")
        await driven.until("on hold: the running trials finish")
        assert live.asked() == ["pause"]
        live.ledger.sweep.set_state(SweepState.PAUSED)
        await driven.until("abcd1234  paused")
        await driven.press("p")
        await driven.until("goes on")
        assert live.asked() == ["unpause"]
        await driven.press("S")
        await driven.until("Stop the whole sweep?")
        await driven.press("y")
        await driven.until("no new trials; the running ones finish")
        assert live.asked() == ["stop"]
        await driven.press("X")
        await driven.until("Cancel the whole sweep?")
        await driven.press("escape")
        await driven.until("nothing was asked for")
        assert live.asked() == []

    drive(live, scenario)


def test_a_sweep_that_is_stopping_says_so_and_what_is_said_is_whole(live):
    """On a narrow terminal as well: a remark has as many lines as it takes."""
    said = "Stopping softly: all is kept. Ctrl-C again ends it now, and this says what else there is to know of it."

    async def scenario(driven):
        await driven.until("hello")
        live.ledger.sweep.set_state(SweepState.STOPPING)
        live.ledger.bulletin.add([said])
        seen = await driven.until("stopping: 2 trials finish", "there is to know of it.")
        assert " ".join(seen.split()).endswith(said)

    drive(live, scenario, size=(60, 20))


def test_what_happens_is_seen_as_it_happens(live):
    """New trials, new values, notes of people, a failure that is said; the cursor stays with its trial."""

    async def scenario(driven):
        await driven.until("hello")
        await driven.press("j", "j")
        assert driven.app.screen.trials.trial.number == 5
        live.report(6, 0.01)
        seen = await driven.until("best loss 0.01 in trial 6")
        assert "0.01" in seen
        assert driven.numbers()[0] == 6
        assert driven.app.screen.trials.trial.number == 5
        with live.dir.trial(5).log_path.open("a", encoding="utf-8") as log:
            log.write("one more line\n")
        await driven.until("one more line")
        number = live.begin(lr=0.55)
        await driven.until("3 running")
        labels.tag(live.dir, [5], ["keep"])
        live.report(number, 3.0)
        await driven.until("#keep")
        live.end(number, TrialState.FAILED, "RuntimeError: boom")
        await driven.until("failed", "RuntimeError: boom", "2 running")

    drive(live, scenario, size=(160, 30))


def test_a_sweep_that_ends_while_watched(live, golden):
    """It is said, and everything can be looked at as before; one that is asked of what needs a controller says so."""

    async def scenario(driven):
        await driven.until("hello")
        live.end(5), live.end(6)
        live.close(reason="all 7 trials are done")
        await driven.until("the sweep has ended: finished: all 7 trials are done", "0 running")
        golden("ended.txt", shown(driven.app))
        await driven.press("j")
        await driven.until("hello of lr 0.2")
        await driven.press("p")
        await driven.until("sweep abcd1234 is not running")

    drive(live, scenario)


def test_a_sweep_that_was_interrupted_says_so_once(live):
    """Where its reason says no more than its state."""

    async def scenario(driven):
        await driven.until("hello")
        live.close(SweepState.INTERRUPTED, "interrupted")
        await driven.until("the sweep has ended: interrupted", "abcd1234  interrupted", without=["interrupted: "])

    drive(live, scenario)


def test_a_controller_that_is_killed(live):
    """Its sweep is called interrupted; a trial is retried in the ledger, for when it is resumed."""

    async def scenario(driven):
        await driven.until("hello")
        live.close(None)
        await driven.until("interrupted: its controller is gone")
        await driven.press("r")
        await driven.until("Retry trial 0?")
        await driven.press("y")
        await driven.until("once it is resumed: sweep resume abcd1234")
        await driven.until("… pending")

    drive(live, scenario)


def test_a_sweep_that_is_moved_away(live):
    """It is said; what was read stays to be looked at."""

    async def scenario(driven):
        await driven.until("hello")
        live.dir.path.rename(live.dir.path.with_name("elsewhere-abcd1234"))
        seen = await driven.until("the sweep was moved or removed")
        assert "relu" in seen

    drive(live, scenario)


def test_the_keys_are_shown(live, golden):
    """Every key of the screen, with what it does."""

    async def scenario(driven):
        await driven.until("hello")
        await driven.press("question_mark")
        seen = await driven.until("pause the sweep")
        golden("keys.txt", seen)
        await driven.press("escape")
        await driven.until("hello", without=["pause the sweep"])

    drive(live, scenario, size=(100, 48))


def test_dark_and_light(live):
    """`t` turns from one to the other, and everything is drawn anew."""

    async def scenario(driven):
        await driven.until("hello")
        assert driven.app.theme == DARK_NAME
        await driven.press("t")
        assert driven.app.theme == LIGHT_NAME
        await driven.pilot.pause(0.1)
        strip = driven.app.screen.query_one(Rows).render_line(2)
        assert {segment.style.bgcolor.triplet.hex for segment in strip if segment.style.bgcolor} == {"#ffffff"}

    drive(live, scenario)


def test_only_what_is_below(live):
    """`z` or Enter gives it all room, and takes it back; so does Escape."""

    async def scenario(driven):
        await driven.until("✓ finished", "hello")
        await driven.press("z")
        await driven.until("hello", without=["finished"])
        await driven.press("escape")
        await driven.until("✓ finished")

    drive(live, scenario)


def test_what_is_copied(live, monkeypatch):
    """The command and the config of the trial at the cursor, that for TensorBoard; the page's path where it cannot open."""
    copied = []
    monkeypatch.setattr(WatchApp, "copy_to_clipboard", lambda _, text: copied.append(text))
    monkeypatch.setattr("orchestrator.cli.watching.takehome.os.environ", {})
    live.ledger.sweep.set_state(SweepState.RUNNING)

    async def scenario(driven):
        await driven.until("hello")
        await driven.press("y")
        await driven.until("copied the command of trial 0")
        await driven.press("Y")
        await driven.until("copied the config of trial 0: lr: 0.1 act: relu epochs: 4")
        await driven.press("b")
        await driven.until("copied: sweep board")
        await driven.press("w")
        await driven.until("written, and its path copied")

    drive(live, scenario, size=(140, 30))
    assert "--lr=0.1" in copied[0]
    assert "train.py" in copied[0]
    assert copied[1] == "lr: 0.1\nact: relu\nepochs: 4\n"
    assert copied[2].startswith("sweep board abcd1234")
    assert copied[3] == str(live.dir.report_path)
    assert live.dir.report_path.exists()


def test_what_is_below(live):
    """By number or one after the other; curves of what is marked, with their numbers."""

    async def scenario(driven):
        await driven.until("hello")
        await driven.press("2")
        await driven.until("● 0 (best)", "loss by step")
        await driven.press("space", "space")
        await driven.until("● 0 (best)", "● 1 0.3")
        await driven.press("tab")
        await driven.until("trial 5 running")
        await driven.press("tab")
        await driven.until("too few trials")
        await driven.press("tab")
        await driven.until("hyperband, eta 2")
        await driven.press("tab")
        await driven.until("2 of 3 slots in use")
        await driven.press("tab")
        await driven.until("hello of lr 0.3")

    drive(live, scenario)


@pytest.mark.parametrize("how", ["left", "stopped", "ended", "killed"])
def test_a_sweep_of_ones_own_is_not_left_without_a_question(live, how):
    """It is let go, interrupted (as often as it is asked), or its controller has come to its end."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    asked = []

    async def run():
        app = WatchApp(
            live.dir.path.parent, live.dir, own=Own(link=ours, interrupt=lambda: asked.append(1)), clock=live.clock
        )
        async with app.run_test(size=(100, 30)) as pilot:
            driven = Driven(app, pilot)
            await driven.until("trial")
            await driven.press("q")
            await driven.until("What becomes of the sweep?", "without this terminal")
            await driven.press("q", "escape")
            await driven.until("trial", without=["What becomes"])
            if how == "stopped":
                await driven.press("q", "s", "ctrl+c")
                assert len(asked) == 2
                theirs.send(b"{}")
            elif how == "left":
                await driven.press("q", "d")
            elif how == "ended":
                theirs.send(b"{}")
            else:
                theirs.close()
            for _ in range(100):
                await pilot.pause(0.02)
        return app.return_value

    assert asyncio.run(run()) == {"left": LEFT, "stopped": b"{}", "ended": b"{}", "killed": b""}[how]
    ours.close(), theirs.close()


def test_a_sweep_of_somebody_elses_is_left_by_ctrl_c(live):
    """As in `attach`."""

    async def run():
        app = WatchApp(live.dir.path.parent, live.dir, clock=live.clock)
        async with app.run_test(size=(100, 30)) as pilot:
            await Driven(app, pilot).until("trial")
            await pilot.press("ctrl+c")
        return app.return_value

    assert asyncio.run(run()) is None


def test_a_log_that_grows_below_a_question_is_followed_to_its_end(live):
    """Also after it is closed; who has scrolled up stays there."""
    path = live.dir.trial(0).log_path

    def grow(first):
        path.write_text(path.read_text() + "".join(f"line {i} of it\n" for i in range(first, first + 40)))

    async def scenario(driven):
        grow(0)
        await driven.until("line 39 of it")
        await driven.press("N")
        await driven.until("Tags and note of the sweep")
        grow(40)
        await driven.pilot.pause(1.0)
        await driven.press("escape")
        grow(80)
        await driven.until("line 119 of it")
        await driven.press(*"KKKK")
        await driven.until("line 90 of it", without=["line 119 of it"])
        grow(120)
        await driven.pilot.pause(1.0)
        await driven.until("line 90 of it", without=["line 159 of it"])

    drive(live, scenario)


def test_what_is_said_and_how_long_a_trial_may_take_are_written_in_a_line(live):
    """Of the trial at the cursor and of the sweep, also as it was; Escape leaves it, a wrong word is said."""

    async def scenario(driven):
        await driven.until("✓ finished", "hello")
        await driven.press("n")
        await driven.until("Tags and note of trial", "#good #slow the one to keep;")
        await driven.press(*"#top [b] best", "enter")
        number = (await driven.until("#top: [b] best", without=["Tags and note"])) and driven.numbers()[0]
        assert labels.read_labels(live.dir).of(number).words == "#top: [b] best"
        await driven.press("n", *" yet", "enter")
        await driven.until("#top: [b] best yet")
        await driven.press("n", *"more", "escape", "N", *"#a/b", "enter")
        await driven.until("is no tag")
        await driven.press("N", *"a try", "enter")
        await driven.until("the sweep: a try")
        assert labels.read_labels(live.dir).sweep.note == "a try"
        await driven.press("T")
        await driven.until("How long may a trial take? Now none.")
        await driven.press(*"2h", "enter")
        await driven.until("a trial may take 2h")
        assert live.asked() == ["set timeout=2h"]
        await driven.press("a")
        await driven.until("How many trials in all? Now 12.")
        await driven.press(*"+20", "enter")
        await driven.until("32 trials in all")
        assert live.asked() == ["set run_cap=32"]
        await driven.press("a", *"+x", "enter")
        await driven.until("+x is no number of trials; +20 adds 20")
        assert live.asked() == []

    drive(live, scenario)
