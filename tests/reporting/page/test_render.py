import base64
import hashlib
import json
import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest
import yaml
from jinja2 import UndefinedError
from playwright.sync_api import expect

from orchestrator.ledger.lock import controlling
from orchestrator.reporting import environment
from orchestrator.reporting.page import render
from orchestrator.reporting.page.render import write_report
from orchestrator.trial.contract.events import Cause
from tests.reporting.planted import SPEC, Plan, ninth_overfits, plant

SCRIPT = "</script><script>window.pwned=1</script><img src=x onerror=window.pwned=2>"
HOSTILE = {
    "program": "t.py",
    "method": "random",
    "name": f"name {SCRIPT}",
    "description": SCRIPT,
    "metric": {"name": f"loss {SCRIPT}"},
    "parameters": {
        "lr <img src=x onerror=window.pwned=3>": {"min": 0.0, "max": 1.0},
        "opt": {"values": [f"adam {SCRIPT}", "sgd'\"&amp;"]},
    },
}


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """The report of 60 trials, with a flag and a recorded environment."""
    sweep_dir = plant(tmp_path_factory.mktemp("runs"), n=60, play=ninth_overfits)
    environment.record(sweep_dir, "/")
    return write_report(sweep_dir)


def hostile(runs):
    def play(number, config, rng):
        log = [SCRIPT, "<!-- <script>", "\x1b[31mred"]
        if number % 3 == 0:
            return Plan([], cause=Cause.FAILED, error=f"ValueError: {SCRIPT}", log=log)
        return Plan([{HOSTILE["metric"]["name"]: rng.random(), f"m {SCRIPT}": 1.0} for _ in range(4)])

    sweep_dir = plant(runs, n=24, spec=yaml.safe_dump(HOSTILE), play=play)
    return write_report(sweep_dir)


OURS = frozenset(
    [
        "html",
        "head",
        "meta",
        "link",
        "title",
        "style",
        "body",
        "header",
        "div",
        "h1",
        "h2",
        "h3",
        "code",
        "span",
        "button",
        "p",
        "nav",
        "a",
        "main",
        "section",
        "pre",
        "dl",
        "dt",
        "dd",
        "ul",
        "li",
        "figure",
        "figcaption",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "input",
        "details",
        "summary",
        "b",
        "script",
    ]
)


class Elements(HTMLParser):
    """The names and attributes of a page's elements, and the text of its scripts and styles."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.found, self.texts, self.inside = [], {"script": [], "style": []}, None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        self.inside = tag if tag in self.texts else None
        if self.inside:
            self.texts[tag].append("")

    def handle_endtag(self, tag):
        self.inside = None

    def handle_data(self, data):
        if self.inside:
            self.texts[self.inside][-1] += data


def test_the_policy_allows_what_is_inside_and_nothing_else(digits):
    """The hashes are those of the one script and the one style; there is no address to load anything from."""
    page = Elements(digits.read_text())
    policy = next(a["content"] for tag, a in page.found if tag == "meta" and "http-equiv" in a)
    data, script = page.texts["script"]
    for text, directive in ((script, "script-src"), (page.texts["style"][0], "style-src")):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}';" in policy
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    addresses = [
        v for _, a in page.found for k, v in a.items() if k in {"src", "href", "action", "style"} or k.startswith("on")
    ]
    assert all(v.startswith("#") or v == "data:," for v in addresses)
    assert json.loads(data)["id"] == "k3x9w2ab"


def test_hostile_text_adds_no_element(tmp_path):
    """A page of a sweep whose every text is markup has the elements of any other page, and its data stays in one script."""
    text = hostile(tmp_path).read_text()
    page = Elements(text)
    assert {tag for tag, _ in page.found} <= OURS
    assert len(page.texts["script"]) == 2
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", text)


def rendered(source, **values):
    return render.environment().from_string(source).render(values)


def test_templates_escape_everything():
    """Markup in a value is text in elements and attributes, control characters are question marks, and a typo is an error."""
    given = {"text": "<b> & \x1b[31m '\"", "fact": {}}
    assert rendered("<p title='{{ text }}'>{{ text }}</p>", **given) == (
        "<p title='&lt;b&gt; &amp; ?[31m &#39;&#34;'>&lt;b&gt; &amp; ?[31m &#39;&#34;</p>"
    )
    with pytest.raises(UndefinedError, match="txet"):
        rendered("{{ txet }}", **given)
    with pytest.raises(UndefinedError, match="nmae"):
        rendered("{% if fact.nmae %}{% endif %}", **given)


def test_no_template_lets_markup_through():
    """No filter, block or function in them says that a text is safe."""
    found = list((render.HERE / "templates").glob("*.html"))
    assert len(found) > 8
    for path in found:
        assert not re.search(r"\|\s*safe|autoescape|Markup|\bon\w+=|style=", path.read_text(encoding="utf-8")), path


def test_lines_are_kept_where_they_mean_something():
    """Text inside <pre> has its lines, each cleaned; elsewhere a line break is as unseen as any control character."""
    shown = rendered('{% import "macros.html" as m %}<pre>{{ m.lines(text) }}</pre>{{ text }}', text="a <\x07\n\n  b\n")
    assert shown == "<pre>a &lt;?\n\n  b</pre>a &lt;???  b?"


def test_the_command_line_starts_without_templates():
    """`sweep --help` does not wait for what only the report needs."""
    code = "import sys, orchestrator.cli.main; sys.exit('jinja2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_data_cannot_end_its_script():
    """JSON is the same when read, and has no character that HTML knows."""
    text = render.as_json({"a": SCRIPT, "b": "&amp;"})
    assert not re.search("[<>&]", text)
    assert json.loads(text) == {"a": SCRIPT, "b": "&amp;"}
    with pytest.raises(ValueError, match="JSON"):
        render.as_json(float("nan"))


expect.set_options(timeout=60_000)


@pytest.fixture
def opened(browser):
    """Return `open(path, **context options)`: a page that has been drawn, and what went wrong on it."""
    contexts = []

    def visit(path, **options):
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        contexts.append(context)
        page = context.new_page()
        page.wrong = []
        page.on("console", lambda message: page.wrong.append(message.text))
        page.on("pageerror", lambda error: page.wrong.append(str(error)))
        page.on("request", lambda request: page.wrong.append(request.url) if request.url != path.as_uri() else None)
        page.goto(path.as_uri())
        expect(page.locator("html[data-ready]")).to_have_count(1)
        expect(page.locator(".canvas:not([data-drawn])")).to_have_count(0)
        return page

    yield visit
    for context in contexts:
        context.close()


INK = """host => {
  const canvas = host.querySelector('canvas');
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  let n = 0;
  for (let i = 3; i < data.length; i += 4) n += data[i] > 40;
  return n;
}"""


def rows(page):
    return [row.split("\t") for row in page.locator("#table tbody tr").all_inner_texts()]


@pytest.mark.browser
def test_every_plot_is_drawn_without_an_error(digits, opened):
    """History, curves, parallel coordinates, contour, five slices and the timeline have ink; nothing is loaded or refused."""
    page = opened(digits)
    hosts = page.locator(".canvas").all()
    assert len(hosts) == 10
    assert all(host.evaluate(INK) > 1000 for host in hosts)
    assert page.locator(".importance .fill").count() == 5
    assert page.wrong == []


@pytest.mark.browser
def test_the_first_screen_answers(digits, opened):
    """What won, how sure, what next and the command line are all above the fold."""
    page = opened(digits)
    for text in ("How sure", "What next"):
        box = page.get_by_role("heading", name=text).bounding_box()
        assert box["y"] < 300
    assert page.locator(".value").inner_text() == "0.98003"
    command = page.locator("#command")
    assert command.bounding_box()["y"] < 700
    assert "--lr=0.0041860053093558895" in command.inner_text()


@pytest.mark.browser
def test_the_table_sorts_and_filters(digits, opened):
    """By a click on its head, there and back; by words, comparisons and states; and back to all."""
    page = opened(digits)
    assert [row[0] for row in rows(page)[:2]] == ["16", "9"]
    head = page.locator("#table th button", has_text="dropout")
    head.click()
    up = [float(row[7]) for row in rows(page)]
    assert up == sorted(up)
    head.click()
    down = [float(row[7]) for row in rows(page)]
    assert down == sorted(down, reverse=True)
    assert down[0] > up[-1]
    page.locator("#filter").fill("state=failed")
    expect(page.locator("#table tbody tr")).to_have_count(4)
    page.locator("#filter").fill("lr<0.001 model.width=32")
    expect(page.locator("#count")).not_to_have_text("4 of 60 trials")
    assert all(float(row[5]) < 0.001 and row[6] == "32" for row in rows(page))
    page.locator("#filter").fill("overfitting")
    expect(page.locator("#count")).to_have_text("1 of 60 trials")
    page.get_by_role("button", name="Show all").click()
    assert page.locator("#count").inner_text() == "60 trials"
    assert page.wrong == []


@pytest.mark.browser
def test_table_and_plots_are_linked(digits, opened):
    """A row selects its trial in the plots, a point its row, and a brush on an axis filters the table."""
    page = opened(digits)
    before = page.evaluate("store.selected")
    page.locator('#table tr[data-trial="9"]').click()
    assert (before, page.evaluate("store.selected")) == (16, 9)
    assert page.locator("#detail h3").inner_text() == "Trial 9"
    x, y = page.evaluate("charts[0].points.find(p => p[2] === 5).slice(0, 2)")
    host = page.locator('[data-plot="best"]')
    host.locator("canvas").last.click(position={"x": x, "y": y})
    assert page.locator("#table tr.selected").get_attribute("data-trial") == "5"
    host = page.locator('[data-plot="parallel"]')
    host.scroll_into_view_if_needed()
    box = host.bounding_box()
    x, top, bottom = page.evaluate("(a => [a.x, a.scale.at(0.01), a.scale.at(0.001)])(parallel.axes[0])")
    page.mouse.move(box["x"] + x, box["y"] + top)
    page.mouse.down()
    page.mouse.move(box["x"] + x, box["y"] + bottom, steps=4)
    page.mouse.up()
    expect(page.locator("#count")).not_to_have_text("60 trials")
    assert all(0.00099 <= float(row[5]) <= 0.0101 for row in rows(page))
    page.mouse.click(box["x"] + x, box["y"] + (top + bottom) / 2)
    expect(page.locator("#count")).to_have_text("60 trials")
    assert page.wrong == []


BRUSHED = """() => {
  const chart = charts[2], drawn = [], axes = parallel.axes.filter(a => a.key !== "value");
  chart.ctx.strokeRect = (...place) => drawn.push(place);
  for (const a of axes) store.brushes.set(a.key, [a.scale.back(a.scale.from - 5), a.scale.back(a.scale.from - 60)]);
  refilter();
  return [axes.map(a => a.extent.labels !== undefined), drawn.map(([x, y, w, h]) => [w, Math.round(h)])];
}"""


@pytest.mark.browser
def test_a_brush_shows_on_axes_of_numbers_and_of_labels(digits, opened):
    """What is kept is framed on each axis, as high as the pointer was dragged."""
    page = opened(digits)
    labels, drawn = page.evaluate(BRUSHED)
    assert set(labels) == {True, False}
    assert drawn == [[14, 55]] * len(labels)


@pytest.mark.browser
def test_hands_on_the_keyboard_are_enough(digits, opened):
    """Rows and plots are reached with Tab, moved through with arrows, chosen with Enter."""
    page = opened(digits)
    page.locator("#table tbody tr").first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert page.evaluate("store.selected") == 9
    assert page.evaluate("document.activeElement.dataset.trial") == "9"
    page.locator('[data-plot="best"] canvas').last.focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate("store.selected") == 5
    assert page.locator('canvas[role="img"]:not([aria-label])').count() == 0


@pytest.mark.browser
def test_both_themes_by_system_and_by_button(digits, opened):
    """The colours follow the system, the button turns them, and the plots are drawn anew."""
    page = opened(digits, color_scheme="dark")
    background = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(background) == "rgb(16, 21, 27)"
    dark = page.evaluate("theme.ramp[32]")
    page.locator("#theme").click()
    assert page.evaluate(background) == "rgb(255, 255, 255)"
    assert page.evaluate("theme.ramp[32]") != dark
    page.emulate_media(media="print")
    assert page.locator("nav").is_hidden()
    assert page.wrong == []


@pytest.mark.browser
@pytest.mark.parametrize("width", [360, 800, 1280])
def test_no_width_needs_scrolling_sideways(digits, opened, width):
    """From a phone to a desktop; the table scrolls by itself."""
    page = opened(digits, viewport={"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") == width


@pytest.mark.browser
def test_the_history_has_three_axes(digits, opened):
    """Trials, time and compute give different places and end at the same best."""
    page = opened(digits)
    places = []
    for name in ("trials", "time", "compute"):
        page.get_by_role("group").get_by_role("button", name=name, exact=True).click()
        places.append(page.evaluate("JSON.stringify(charts[0].points)"))
    assert len(set(places)) == 3


@pytest.mark.browser
def test_hostile_text_stays_text(tmp_path, opened):
    """Markup in names, values, errors, log lines, flags and the spec is shown as it is and runs nowhere."""
    page = opened(hostile(tmp_path))
    page.locator("#table tbody tr").nth(1).hover()
    for trial in (0, 1, 2):
        page.evaluate(f"select({trial})")
    for i in range(len(page.locator("details").all())):
        page.locator("details").nth(i).evaluate("d => { d.open = true; }")
    assert page.evaluate("window.pwned") is None
    assert page.locator("img").count() == 0
    for place in ("h1", "#spec", "#failures", "#table", "#verdict"):
        assert "<script>window.pwned=1</script>" in page.locator(place).first.inner_text(), place
    assert page.wrong == []


@pytest.mark.browser
@pytest.mark.parametrize("n", [450, pytest.param(3000, marks=pytest.mark.soak)])
def test_thousands_of_trials_open_quickly_and_small(tmp_path, opened, n):
    """All in the table, the curves thinned, a fraction of the size that is allowed, drawn in seconds."""
    spec = (SPEC % n).replace("early_terminate: {type: hyperband, min_iter: 3, eta: 2}\n", "")
    sweep_dir = plant(
        tmp_path, n=n, gpus=8, spec=spec, play=lambda n, c, rng: Plan([{"valid/accuracy": rng.random()}] * 2)
    )
    path = write_report(sweep_dir)
    assert path.stat().st_size < 1_000_000
    page = opened(path)
    assert page.evaluate("performance.now()") < 30_000
    assert page.locator("#count").inner_text() == f"{n} trials"
    assert page.locator("#table tbody tr").count() == 25
    assert f"400 of {n} are drawn" in page.locator('[data-note="curves"]').inner_text()
    assert page.wrong == []


@pytest.mark.browser
@pytest.mark.parametrize("until", [0.5, 4.0, 60.0])
def test_a_running_sweep_can_be_looked_at(tmp_path, opened, until):
    """Before the first trial, before the first score and half way, with the sweep said to be running."""
    sweep_dir = plant(tmp_path, n=20, until=until)
    with controlling(sweep_dir.lock_path):
        page = opened(write_report(sweep_dir))
    assert page.locator(".state").inner_text() == "running"
    assert page.wrong == []


@pytest.mark.browser
@pytest.mark.parametrize(
    "keys",
    [
        {"metrics": [{"name": "loss"}, {"name": "size"}], "parameters": {"x": {"min": 0.0, "max": 1.0}}},
        {"parameters": {"x": {"values": [1, "1", None, True]}}},
        {"metric": {"name": "loss"}, "parameters": {"x": {"value": 3}}},
        {"metric": {"name": "loss"}, "parameters": {f"p{i}": {"min": 0.0, "max": 1.0} for i in range(20)}},
    ],
    ids=["two metrics", "no metric", "nothing varies", "twenty parameters"],
)
def test_unusual_sweeps_have_a_page(tmp_path, opened, keys):
    """Each is drawn without an error: what does not apply is left out."""
    spec = yaml.safe_dump({"program": "t.py", "method": "random", **keys})
    page = opened(
        write_report(plant(tmp_path, n=15, spec=spec, play=lambda n, c, r: Plan([{"loss": r.random(), "size": n}])))
    )
    assert page.locator('[data-plot="front"]').count() == int("metrics" in keys)
    assert page.wrong == []
