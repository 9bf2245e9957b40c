import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
PARTS = ("orchestrator", "tests", "client", "docs")


def test_its_lines_fit():
    """Tables, pictures and sentences are at most 120 columns wide."""
    assert [line for line in TEXT.splitlines() if len(line) > 120] == []


def test_every_file_that_it_names_is_there():
    """A file that is moved takes its name here along."""
    there = {str(path.relative_to(ROOT)) for part in PARTS for path in (ROOT / part).rglob("*")}
    named = set(re.findall(r"`([\w./]+(?:\.(?:py|js|ts|md|html|css)|/))`", TEXT))
    assert len(named) > 80
    ends = {"/".join(path.split("/")[i:]) for path in there for i in range(path.count("/") + 1)}
    assert sorted(name for name in named if name.rstrip("/") not in ends | {*PARTS, ".fetched"}) == []
