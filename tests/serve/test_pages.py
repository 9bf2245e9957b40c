import json
import math
import re

import pytest
import yaml
from playwright.sync_api import expect

from orchestrator.ledger.lock import controlling
from orchestrator.ledger.reader import LedgerReader
from orchestrator.ledger.records import SweepState
from orchestrator.reporting import labels
from orchestrator.trial.contract.events import Cause
from orchestrator.trial.contract.resource_use import GpuUse, Look, Use
from tests.reporting.planted import Plan, ninth_overfits, plant
from tests.serve.live import CONFIG, TOKEN, Sweep, serving

pytestmark = pytest.mark.browser
expect.set_options(timeout=60_000)
PAGES = ("/", "/sweeps/k3x9w2ab", "/sweeps/k3x9w2ab/9", "/compare?of=k3x9w2ab/9&of=k3x9w2ab/16")
GONE = re.compile("ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED|ERR_EMPTY_RESPONSE|ERR_CONNECTION_RESET")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Sixty trials that have ended."""
    runs = tmp_path_factory.mktemp("runs")
    plant(runs, n=60, play=ninth_overfits)
    with serving(runs) as found:
        yield found


@pytest.fixture
def opened(browser):
    """Return `open(server, path, **context options)`: a page that has its data, and what went wrong on it."""
    contexts = []

    def visit(server, path, **options):
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        contexts.append(context)
        page = context.new_page()
        address = f"http://127.0.0.1:{server.server_port}"
        page.wrong = []
        page.on("console", lambda message: page.wrong.append(message.text))
        page.on("pageerror", lambda error: page.wrong.append(str(error)))
        page.on("request", lambda found: page.wrong.append(found.url) if not found.url.startswith(address) else None)
        page.goto(address + path)
        expect(page.locator("html[data-ready]")).to_have_count(1)
        return page

    yield visit
    for context in contexts:
        context.close()


@pytest.mark.parametrize("path", PAGES)
def test_pages_open_without_an_error_and_fit(server, opened, path):
    """From a phone to a desktop, in both themes; nothing is loaded from elsewhere or refused by the policy."""
    page = opened(server, path, viewport={"width": 375, "height": 800}, color_scheme="dark")
    assert page.evaluate("document.documentElement.scrollWidth") == 375
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(16, 21, 27)"
    page.set_viewport_size({"width": 1280, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") == 1280
    expect(page.locator("#connection")).to_have_text("live")
    assert page.wrong == []


def test_from_the_list_to_a_sweep_to_a_trial_to_a_comparison(server, opened):
    """As somebody goes who has never been there: by what is to be seen."""
    page = opened(server, "/")
    assert "60 of 60 done, 4 failed" in page.locator("#list tbody tr").inner_text()
    page.locator("#find").fill("nothing like it")
    expect(page.locator("#list tbody tr")).to_have_count(0)
    page.locator("#find").fill("digits finished")
    page.get_by_role("link", name="digits").click()
    expect(page.locator("#best")).to_have_text("0.98003")
    expect(page.locator("#certainty-slot h2")).to_have_text("How sure")
    expect(page.locator(".importance .fill")).to_have_count(5)
    page.locator("#filter").fill("overfitting")
    expect(page.locator("#table tbody tr")).to_have_count(1)
    page.locator("#table tbody tr").click()
    page.get_by_role("button", name="Compare").click()
    page.get_by_role("link", name="Open trial 9").click()
    expect(page.locator("#title")).to_have_text("Trial 9")
    expect(page.locator("#flags")).to_contain_text("overfitting")
    assert page.locator("#config-table tbody tr").first.inner_text().split() == ["dropout", "0.095534", "0.46154"]
    assert page.locator("#lines figure").count() == 3
    page.get_by_role("link", name="Compare 1").click()
    page.locator("#which").fill("k3x9w2ab/16")
    page.locator("#which").press("Enter")
    expect(page.locator("#chips a")).to_have_count(2)
    assert "0.97707\t0.98003" in page.locator("#differences tbody").inner_text()
    assert page.wrong == []


def test_a_failure_is_one_click_away_and_said_once(tmp_path, opened):
    """The sweep's page leads to the page of each trial that failed; there its error stands once, above its log."""

    def play(number, config, rng):
        if number == 2:
            return Plan([], cause=Cause.FAILED, error="ValueError: no such column")
        return Plan([{"valid/accuracy": rng.random()}])

    plant(tmp_path, n=4, play=play)
    with serving(tmp_path) as server:
        page = opened(server, "/sweeps/k3x9w2ab")
        page.locator("#failures-slot summary").click()
        page.locator("#failures-slot").get_by_role("link", name="2", exact=True).click()
        expect(page.locator("#title")).to_have_text("Trial 2")
        expect(page.locator(".winner")).to_contain_text("ValueError: no such column")
        assert page.locator(".winner").inner_text().count("ValueError") == 1
        assert page.wrong == []


def test_values_that_hardly_differ_have_whole_numbers_beside_them(tmp_path, opened):
    """An axis makes room for as many digits as its ticks need: cut, they would all be the same."""
    plant(
        tmp_path, n=1, play=lambda number, config, rng: Plan([{"valid/accuracy": 0.05630 + k / 1e5} for k in range(3)])
    )
    with serving(tmp_path) as server:
        page = opened(server, "/sweeps/k3x9w2ab/0")
        texts = page.evaluate("""() => {
            const texts = [], fill = CanvasRenderingContext2D.prototype.fillText;
            CanvasRenderingContext2D.prototype.fillText = function (text, ...at) {
                texts.push(text);
                fill.call(this, text, ...at);
            };
            for (const chart of charts) chart.refresh();
            return new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(() => resolve(texts))));
        }""")
    assert "0.05631" in texts
    assert not any("…" in text for text in texts)


def test_a_sweep_that_runs_is_seen_to_run_and_to_end(tmp_path, opened):
    """In two browsers at once: new trials, curves that grow, a log, the best, the end; without a page being loaded again."""
    sweep_dir = plant(tmp_path, n=5)
    sweep = Sweep(sweep_dir)
    with serving(tmp_path) as server, controlling(sweep_dir.lock_path):
        sweep.ledger.sweep.set_state(SweepState.RUNNING)
        page, other = opened(server, "/sweeps/k3x9w2ab"), opened(server, "/")
        expect(page.locator("#state")).to_have_text("running")
        number = sweep.begin(CONFIG)
        sweep.write(number)
        sweep.report(number, 0.5, 0.6)
        expect(page.locator("#running-table")).to_contain_text("valid/accuracy 0.6")
        expect(page.locator("#count")).to_have_text("6 trials")
        trial = opened(server, f"/sweeps/k3x9w2ab/{number}")
        expect(trial.locator("#log")).to_have_text("It has printed nothing yet.")
        sweep_dir.trial(number).log_path.write_text("epoch 1\n\x1b[31mepoch 2\n")
        expect(trial.locator("#log")).to_have_text("epoch 1\nepoch 2\n")
        sweep.report(number, 0.999)
        expect(trial.locator("#best")).to_have_text("0.999")
        expect(page.locator("#best")).to_have_text("0.999")
        expect(other.locator("#list tbody tr")).to_contain_text("0.999")
        expect(other.locator("#list tbody tr")).to_contain_text("1 running")
        assert page.evaluate(f"D.curves.by_trial[{number}][1]") == [0.5, 0.6, 0.999]
        sweep.end(number)
        sweep.ledger.sweep.set_state(SweepState.FINISHED, reason="all trials are done")
    assert all(GONE.search(text) for text in page.wrong), page.wrong


def test_the_end_of_a_sweep_and_of_its_server_are_said(tmp_path, opened):
    """A page without its server says so, and that it is live again, with what has changed meanwhile."""
    sweep_dir = plant(tmp_path, n=5)
    sweep = Sweep(sweep_dir)
    with serving(tmp_path) as server:
        with controlling(sweep_dir.lock_path):
            sweep.ledger.sweep.set_state(SweepState.RUNNING)
            page = opened(server, "/sweeps/k3x9w2ab")
            expect(page.locator("#state")).to_have_text("running")
            sweep.ledger.sweep.set_state(SweepState.FINISHED, reason="all trials are done")
        expect(page.locator("#state")).to_have_text("finished")
        expect(page.locator("#sentence")).to_contain_text("all trials are done")
    expect(page.locator("#connection")).to_contain_text("trying again")
    number = sweep.begin(CONFIG)
    sweep.report(number, 0.9991)
    with serving(tmp_path, port=server.server_port):
        expect(page.locator("#connection")).to_have_text("live again")
        expect(page.locator("#best")).to_have_text("0.9991")
    assert all(GONE.search(text) for text in page.wrong), page.wrong


@pytest.mark.soak
def test_a_page_that_stays_open_for_ten_thousand_trials_keeps_its_memory(tmp_path, opened):
    """What it holds grows with the trials that there are, some hundred bytes each; what happens in between leaves nothing."""
    sweep_dir = plant(tmp_path, n=1000)
    sweep = Sweep(sweep_dir)
    with serving(tmp_path) as server, controlling(sweep_dir.lock_path):
        sweep.ledger.sweep.set_state(SweepState.RUNNING)
        page = opened(server, "/sweeps/k3x9w2ab")
        expect(page.locator("#certainty-slot h2")).to_have_text("How sure")
        before = heap(page)
        for n in range(2000, 10_001, 1000):
            with sweep.ledger.transaction("a thousand"):
                for _ in range(1000):
                    number = sweep.begin(CONFIG)
                    sweep.report(number, 0.1, 0.2, 0.3)
                    sweep.end(number)
            expect(page.locator("#count")).to_have_text(f"{n} trials")
        grown = heap(page)
        assert grown - before < 9000 * 2000
        number = sweep.begin(CONFIG)
        for k in range(100):
            sweep.report(number, 0.5, 0.0001 * k)
            page.wait_for_timeout(50)
        expect(page.locator("#running-table")).to_contain_text("200 rows")
        assert heap(page) - grown < 1 << 20
        assert page.wrong == []


def heap(page):
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    return session.send("Runtime.getHeapUsage")["usedSize"]


def test_what_a_trial_uses_is_drawn_on_a_phone(tmp_path, opened):
    """A sentence and a curve per number, which grow while it runs; columns of the sweep's table, and a filter by them."""
    sweep_dir = plant(tmp_path, n=5)
    seen = [use(0.5 + 0.4 * math.sin(k / 5), 10.0 * (k + 1)) for k in range(40)]
    lines = [Look(attempt=0, time=1e9 + each.seconds, now=each, so_far=seen[20]).encode() for each in seen]
    path = sweep_dir.trial(0).use_path
    path.write_text("".join(lines[:20]))
    with serving(tmp_path) as server:
        page = opened(server, "/sweeps/k3x9w2ab/0", viewport={"width": 390, "height": 800}, color_scheme="dark")
        expect(page.locator("#use-note")).to_contain_text("It used 2.50 CPU cores, at most 3 GiB (RSS)")
        figures = page.locator("#use-lines figure")
        expect(figures.locator("h3")).to_have_text(
            ["CPU cores", "memory (RSS), GiB", "GPU 0 busy, %", "GPU 0 memory, GiB", "GPU 0 power, W"]
        )
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        figures.nth(2).scroll_into_view_if_needed()
        figures.nth(2).locator(".canvas").hover()
        expect(figures.nth(4)).to_contain_text(re.compile(r"second 1?\d\d"))
        path.write_text("".join(lines))
        page.mouse.move(0, 0)
        expect(figures.nth(2)).to_contain_text(f"trial 0 {100 * seen[-1].gpus[0].busy:.4g}")
        table = opened(server, "/sweeps/k3x9w2ab", viewport={"width": 390, "height": 800}, color_scheme="dark")
        expect(table.locator("#table thead")).to_contain_text("gpu memory GiB")
        table.locator("#filter").fill("gpu<50 cpus=2.5")
        expect(table.locator("#table tbody tr")).to_have_count(1)
        assert table.evaluate("document.documentElement.scrollWidth") == 390
        assert page.wrong == table.wrong == []


def use(busy, seconds):
    gpu = GpuUse(
        gpu="0", busy=busy, own_busy=busy, used_bytes=9e9, own_bytes=6 << 30, total_bytes=80 << 30, power_w=300 * busy
    )
    return Use(n_looks=9, seconds=seconds, cpus=2.5, rss_bytes=3 << 30, n_processes=1, gpus=(gpu,))


def test_controls_ask_and_need_the_token(tmp_path, opened):
    """From the address it is taken and hidden; without it the page asks for it; what cannot be done is said."""
    sweep_dir = plant(tmp_path, n=5)
    with serving(tmp_path) as server:
        page = opened(server, f"/sweeps/k3x9w2ab/3#token={TOKEN}")
        assert page.evaluate("location.hash") == ""
        page.get_by_role("button", name="Retry").click()
        page.locator("dialog").get_by_role("button", name="Leave it").click()
        page.get_by_role("button", name="Retry").click()
        page.locator("dialog").get_by_role("button", name="Retry").click()
        expect(page.locator("#said")).to_contain_text("for when the sweep is resumed: retry trial 3")
        expect(page.locator("#state")).to_have_text("pending")
        other = opened(server, "/sweeps/k3x9w2ab")
        other.get_by_role("button", name="trials in all: 5").click()
        other.locator("#answer").fill("seventy")
        other.locator("#yes").click()
        other.locator("#answer").fill("wrong-token-wrong-token")
        other.locator("#yes").click()
        expect(other.locator("#said")).to_contain_text("needs the token")
        other.get_by_role("button", name="trials in all: 5").click()
        other.locator("#answer").fill("seventy")
        other.locator("#yes").click()
        other.locator("#answer").fill(f"http://127.0.0.1:1/#token={TOKEN}")
        other.locator("#yes").click()
        expect(other.locator("#said")).to_contain_text("run_cap")
        other.get_by_role("button", name="trials in all: 5").click()
        other.locator("#answer").press_sequentially("+65")
        other.locator("#yes").click()
        expect(other.get_by_role("button", name="trials in all: 70")).to_be_visible()
    with LedgerReader(sweep_dir.ledger_path) as reader:
        assert reader.trial(3).state == "pending"


def test_notes_are_written_and_stay_text(tmp_path, opened):
    """Of a trial and of the sweep, behind the token; what was said can be changed; markup in it runs nowhere."""
    sweep_dir = plant(tmp_path, n=5)
    with serving(tmp_path) as server:
        page = opened(server, f"/sweeps/k3x9w2ab/3#token={TOKEN}")
        page.get_by_role("button", name="Note", exact=True).click()
        page.locator("#answer").fill(f"#good: {SCRIPT}")
        page.locator("#yes").click()
        expect(page.locator("#reason")).to_contain_text(f"#good: {SCRIPT}")
        page.get_by_role("button", name="Note", exact=True).click()
        assert page.locator("#answer").input_value() == f"#good: {SCRIPT}"
        page.locator("#no").click()
        page.goto(f"http://127.0.0.1:{server.server_port}/sweeps/k3x9w2ab")
        page.get_by_role("button", name="Note", exact=True).click()
        page.locator("#answer").fill(SCRIPT)
        page.locator("#yes").click()
        expect(page.locator("#sentence")).to_contain_text(SCRIPT)
        page.locator("#filter").fill("good")
        expect(page.locator("#table tbody tr")).to_have_count(1)
        assert page.evaluate("window.pwned") is None
        assert page.locator("img").count() == 0
        assert page.wrong == []
    assert labels.read_labels(sweep_dir).sweep.note == SCRIPT


SCRIPT = "</script><script>window.pwned=1</script><img src=x onerror=window.pwned=2>"
HOSTILE = {
    "program": "t.py",
    "method": "random",
    "name": f"name {SCRIPT}",
    "description": SCRIPT,
    "metric": {"name": f"loss {SCRIPT}"},
    "parameters": {"lr <img src=x onerror=window.pwned=3>": {"min": 0.0, "max": 1.0}, "o": {"values": [SCRIPT, "sgd"]}},
}


def test_hostile_text_stays_text(tmp_path, opened):
    """Markup in names, values, errors and logs is shown as it is and runs nowhere, on any page."""

    def play(number, config, rng):
        if number % 3 == 0:
            return Plan([], cause=Cause.FAILED, error=f"ValueError: {SCRIPT}", log=[SCRIPT])
        return Plan([{HOSTILE["metric"]["name"]: rng.random(), f"m {SCRIPT}": 1.0} for _ in range(4)])

    sweep_dir = plant(tmp_path, n=12, spec=yaml.safe_dump(HOSTILE), play=play)
    sweep_dir.trial(1).log_path.write_text(SCRIPT)
    with serving(tmp_path) as server:
        for path in ("/", "/sweeps/k3x9w2ab", "/sweeps/k3x9w2ab/1", "/sweeps/k3x9w2ab/3", "/compare?of=k3x9w2ab/1"):
            page = opened(server, path)
            if path == "/sweeps/k3x9w2ab":
                expect(page.locator("#failures-slot details").first).to_be_visible()
            assert page.evaluate("window.pwned") is None
            assert page.locator("img").count() == 0
            assert json.dumps(SCRIPT)[1:-1] in json.dumps(page.locator("body").inner_text())
            assert page.wrong == []
