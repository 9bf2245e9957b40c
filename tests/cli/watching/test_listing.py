"""One line per sweep, read anew where something was written."""

import pytest

from orchestrator.cli.watching import listing
from orchestrator.cli.watching.listing import Listing, cells_of, passing_lines
from orchestrator.errors import SweepError
from orchestrator.ledger.records import SweepState
from orchestrator.reporting import labels
from tests.cli.watching.live import EPOCH_S, Live


@pytest.fixture
def runs(tmp_path):
    one, two = Live(tmp_path, sweep_id="aaaa1111", name="one"), Live(tmp_path, sweep_id="bbbb2222", name="two")
    one.report(one.begin(), 0.5)
    two.close(SweepState.INTERRUPTED, "Ctrl-C")
    yield tmp_path, one
    one.close()


def test_a_line_says_where_a_sweep_stands(runs):
    """State, trials of how many, the best, tags and notes; what the columns of a filter are called."""
    path, one = runs
    labels.note(one.dir, [], "my \x1b[31mnote")
    lines = {line.sweep_dir.sweep_id: line for line in Listing(path).look()}
    live, over = lines["aaaa1111"], lines["bbbb2222"]
    assert (live.state, live.is_live, live.trials, live.best, live.about) == (
        "running",
        True,
        "1/12",
        0.5,
        "my ?[31mnote",
    )
    assert (over.state, over.is_live, over.about) == ("interrupted", False, "Ctrl-C")
    assert [line.name for line in passing_lines([live, over], "state=running trials>0")] == ["one"]
    with pytest.raises(SweepError, match="no column"):
        passing_lines([live], "nope=3")
    assert [text for text, _ in cells_of(live, EPOCH_S + 60.0)][:5] == [
        "aaaa1111",
        "▶ running",
        "1/12",
        "0.5",
        "1m00s ago",
    ]


def test_a_sweep_is_read_again_where_it_was_written(runs, monkeypatch):
    """The others are not even opened."""
    path, one = runs
    found = Listing(path)
    found.look()
    opened = []
    real = listing.LedgerReader
    monkeypatch.setattr(listing, "LedgerReader", lambda p, **k: opened.append(p) or real(p, **k))
    found.look()
    assert opened == []
    one.report(one.begin(), 0.25)
    lines = found.look()
    assert opened == [one.dir.ledger_path]
    assert [line.best for line in lines if line.is_live] == [0.25]


def test_a_directory_of_none(tmp_path):
    """There may be none yet."""
    assert Listing(tmp_path / "nowhere").look() == []
