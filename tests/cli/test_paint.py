import io

import pytest

from orchestrator.cli.paint import LOOKS, painter


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("role", LOOKS)
def test_a_terminal_gets_colours(role, monkeypatch):
    """Every role has looks, which end with the text."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    painted = painter(Terminal())(role, "text")
    assert painted.startswith("\x1b[")
    assert painted.endswith("text\x1b[0m")


def test_no_colours_elsewhere(monkeypatch):
    """Neither in a pipe, nor with NO_COLOR."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert painter(io.StringIO())("error", "text") == "text"
    monkeypatch.setenv("NO_COLOR", "1")
    assert painter(Terminal())("error", "text") == "text"
