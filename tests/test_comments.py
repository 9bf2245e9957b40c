import re
from pathlib import Path

BANNER = re.compile(r"^\s*#+ ?[-=*#]{3,}", re.MULTILINE)


def test_no_comment_is_a_banner():
    """A file that needs headings is several files."""
    root = Path(__file__).parents[1]
    sources = [
        path
        for folder in ("orchestrator", "tests", "benchmarks", "trainables")
        for path in (root / folder).rglob("*.py")
    ]
    assert len(sources) > 300
    found = [str(path.relative_to(root)) for path in sources if BANNER.search(path.read_text(encoding="utf-8"))]
    assert not found
