"""Tags and notes: kept whoever writes at the same time, shown everywhere, and harmless whatever the file says."""

import threading

import pytest

from orchestrator.errors import SweepError
from orchestrator.layout import SweepDir
from orchestrator.reporting import labels
from orchestrator.reporting.facts import read_facts
from orchestrator.reporting.labels import Labels, SweepLabels, note, read_labels, say, tag
from orchestrator.reporting.page.payload import trials_data
from orchestrator.reporting.table import as_records, table_of
from tests.reporting.planted import Plan, plant

SPEC = (
    "{program: t.py, method: random, description: first try, metric: {name: loss}, parameters: {lr: {min: 0, max: 1}}}"
)


@pytest.fixture
def sweep_dir(tmp_path):
    return SweepDir(tmp_path)


def test_tags_and_notes_stay_until_they_are_taken_away(sweep_dir):
    """Of the sweep and of each trial by itself; a note replaces the one before."""
    tag(sweep_dir, [], ["baseline", "a-1"])
    tag(sweep_dir, [3, 7], ["good"])
    note(sweep_dir, [3], "first ")
    note(sweep_dir, [3], "keep\n this")
    tag(sweep_dir, [7], ["good", "never-there"], remove=True)
    trials = {3: Labels(tags=("good",), note="keep this")}
    assert read_labels(sweep_dir) == SweepLabels(sweep=Labels(tags=("a-1", "baseline")), trials=trials)
    note(sweep_dir, [3], "")
    assert read_labels(sweep_dir).of(3).words == "#good"


def test_what_two_terminals_say_at_once_is_both_kept(sweep_dir):
    """One after the other."""
    threads = [threading.Thread(target=tag, args=(sweep_dir, [n], [f"t{n}"])) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(read_labels(sweep_dir).trials) == list(range(16))


@pytest.mark.parametrize("text", ["", "[]", "{", '{"trials": 3}', '{"tags": 4}', '{"trials": {"x": {}}}', "null"])
def test_a_file_that_is_none_of_ours_says_nothing(sweep_dir, text):
    """And it is not written over: nobody knows what is lost with it."""
    sweep_dir.labels_path.write_text(text)
    assert read_labels(sweep_dir) == SweepLabels()
    with pytest.raises(SweepError, match=r"labels.json cannot be read, .* no list of tags and notes.\n  Mend it"):
        tag(sweep_dir, [], ["fine"])
    assert sweep_dir.labels_path.read_text() == text


def test_more_than_can_be_read_again_is_not_written(sweep_dir, monkeypatch):
    """Neither into the file, nor over one that holds more."""
    monkeypatch.setattr(labels, "MOST_BYTES", 1000)
    note(sweep_dir, [1], "x" * 800)
    with pytest.raises(SweepError, match=r"labels.json would hold 1,\d\d\d bytes .* at most 1,000 are read"):
        note(sweep_dir, [2], "y" * 200)
    assert sorted(read_labels(sweep_dir).trials) == [1]
    monkeypatch.setattr(labels, "MOST_BYTES", 500)
    with pytest.raises(SweepError, match="cannot be read, so nothing was written: holds more than 500 bytes"):
        tag(sweep_dir, [], ["fine"])
    assert "x" * 800 in sweep_dir.labels_path.read_text()


def test_what_is_no_tag_or_too_long_is_refused(sweep_dir):
    """A tag is one word; nothing is written."""
    with pytest.raises(SweepError, match="'two words' is no tag"):
        tag(sweep_dir, [], ["good", "two words"])
    with pytest.raises(SweepError, match="at most 2000 characters; this one has 2001"):
        note(sweep_dir, [], "x" * 2001)
    assert not sweep_dir.labels_path.exists()


def test_a_line_says_all_of_it(sweep_dir):
    """What is shown of tags and a note can be written again as it is; without any, nothing is said any more."""
    tag(sweep_dir, [1], ["good", "slow"])
    note(sweep_dir, [1], "the one: keep #1")
    words = read_labels(sweep_dir).of(1).words
    for trial in (2, None):
        say(sweep_dir, trial, words)
    found = read_labels(sweep_dir)
    assert found.of(1) == found.of(2) == found.sweep
    for text in ("#1 of my list: keep", ": odd", ":", "#"):
        note(sweep_dir, [4], text)
        say(sweep_dir, 4, read_labels(sweep_dir).of(4).words)
        assert read_labels(sweep_dir).of(4) == Labels(note=text)
    say(sweep_dir, 2, "  only a # note  ")
    assert read_labels(sweep_dir).of(2).words == "only a # note"
    with pytest.raises(SweepError, match="'b/d' is no tag"):
        say(sweep_dir, 2, "#b/d")
    say(sweep_dir, 2, "")
    assert 2 not in read_labels(sweep_dir).trials


def test_page_table_and_filters_have_them(tmp_path):
    """Beside why a trial ended; the table has columns for them only where there are any."""
    made = plant(tmp_path, n=3, gpus=1, spec=SPEC, play=lambda number, *_: Plan([{"loss": float(number)}]))
    assert "tags" not in table_of(read_facts(made).results).columns
    tag(made, [1], ["good", "fast"])
    note(made, [1], "<b>keep</b>")
    facts = read_facts(made)
    assert facts.results.about == "first try"
    assert trials_data(facts.results, facts.space.axes, facts.flags, {})["said"][1] == "#fast #good: <b>keep</b>"
    assert [(row["tags"], row["note"]) for row in as_records(table_of(facts.results))][:2] == [
        (None, None),
        ("fast good", "<b>keep</b>"),
    ]
    note(made, [], "the second")
    assert read_facts(made).results.about == "the second"
