"""What it looks like: the page's palette as two themes, and a mark and a colour for each state of a trial."""

import os
from dataclasses import dataclass

from textual.theme import Theme

from orchestrator.ledger.records import TrialState


@dataclass(frozen=True, slots=True, kw_only=True)
class Palette:
    """Colours by what they say. Blue and orange carry the difference, so that colour-blind people see it, too.

    Attributes:
        curves: For lines that are shown together, the page's (`live.css`) in another order; all of them differ for colour-blind
            people, too. Each has its trial's number beside it as well.
    """

    page: str
    panel: str
    ink: str
    muted: str
    line: str
    accent: str
    good: str
    stopped: str
    failed: str
    curves: tuple[str, ...]

    def theme(self, name: str, *, dark: bool) -> Theme:
        """Return it as the application's theme."""
        return Theme(
            name=name,
            primary=self.good,
            secondary=self.muted,
            accent=self.accent,
            foreground=self.ink,
            background=self.page,
            surface=self.page,
            panel=self.panel,
            success=self.good,
            warning=self.stopped,
            error=self.failed,
            dark=dark,
        )


LIGHT = Palette(
    page="#ffffff",
    panel="#eef0f3",
    ink="#17212b",
    muted="#596673",
    line="#dde2e8",
    accent="#c2410c",
    good="#1456b8",
    stopped="#8a6d1a",
    failed="#b3261e",
    curves=("#1456b8", "#c2410c", "#00795c", "#a2488a", "#6d28d9", "#17212b"),
)
DARK = Palette(
    page="#10151b",
    panel="#182029",
    ink="#e7ecf1",
    muted="#9aa8b6",
    line="#2b3641",
    accent="#ff9a57",
    good="#78b7ff",
    stopped="#d6b656",
    failed="#ff8a80",
    curves=("#78b7ff", "#ff9a57", "#2fc79d", "#e59bcf", "#9466ff", "#e7ecf1"),
)

DARK_NAME, LIGHT_NAME = "sweep-dark", "sweep-light"
THEMES = {DARK_NAME: DARK.theme(DARK_NAME, dark=True), LIGHT_NAME: LIGHT.theme(LIGHT_NAME, dark=False)}

MARKS = {
    TrialState.PENDING: ("…", "muted"),
    TrialState.RUNNING: ("▶", "accent"),
    TrialState.FINISHED: ("✓", "good"),
    TrialState.STOPPED: ("◼", "stopped"),
    TrialState.FAILED: ("✗", "failed"),
    TrialState.CANCELED: ("⊘", "muted"),
}
"""A mark for each state, and which colour of the palette it has: never the colour alone."""


def palette_of(theme: str) -> Palette:
    """Return the colours of a theme, by its name."""
    return LIGHT if theme == LIGHT_NAME else DARK


def other_than(theme: str) -> str:
    """Return the name of the dark theme for the light one, and the other way round."""
    return DARK_NAME if theme == LIGHT_NAME else LIGHT_NAME


def wanted_theme() -> str:
    """Return the theme that suits the terminal, as far as it says what its background is (``COLORFGBG``); else the dark one."""
    background = os.environ.get("COLORFGBG", "").rpartition(";")[2]
    return LIGHT_NAME if background in {"7", "15"} else DARK_NAME
