"""Makes `digits-bayes.svg`, the picture at the top of README: a real sweep in a real terminal, while it runs.

Run it from the repository's root with tmux installed: `.venv/bin/python .readme/capture.py`. It takes a minute.
The folder is hidden because nobody but README needs it.
"""

import io
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.text import Text

COLUMNS, LINES = 110, 20
AFTER = 6  # trials that are done when the picture is taken
COMMAND = "sweep run sweeps/digits-bayes.yaml"
TARGET = Path(__file__).parent / "digits-bayes.svg"


def main() -> None:
    """Run the sweep in a terminal of its own; take the picture; stop it."""
    with tempfile.TemporaryDirectory() as directory:
        tmux = ["tmux", "-L", f"readme-{time.time_ns()}", "-f", "/dev/null"]
        command = f"{Path(sys.executable).parent}/{COMMAND} --runs-dir {directory}/runs"
        size = ["-x", str(COLUMNS), "-y", str(LINES)]
        environment = ["-e", "RAY_USAGE_STATS_ENABLED=0", "-e", "COLORTERM=truecolor"]
        subprocess.run([*tmux, "new-session", "-d", *size, *environment, command], check=True)
        while (screen := capture(tmux)) is not None and done(screen) < AFTER:
            time.sleep(0.3)
        if screen is None:
            sys.exit(f"the sweep ended before {AFTER} trials were seen to be done")
        while capture(tmux) is not None:
            subprocess.run([*tmux, "send-keys", "C-c"], check=False)
            time.sleep(2)
    TARGET.write_text(svg(screen), encoding="utf-8")
    print(TARGET)


def capture(tmux: list[str]) -> str | None:
    """Return what the terminal shows, colours included; None once it has closed."""
    shown = subprocess.run([*tmux, "capture-pane", "-e", "-p"], capture_output=True, text=True, check=False)
    return shown.stdout if shown.returncode == 0 else None


def done(screen: str) -> int:
    """Return how many trials the screen says are done."""
    found = re.search(r"(\d+)/\d+ done", screen)
    return int(found[1]) if found else 0


def svg(screen: str) -> str:
    """Draw the terminal, with the command above."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text(f"$ {COMMAND}", style="bold"))
    console.print(Text.from_ansi(screen.rstrip()))
    return console.export_svg(title="sweep run")


if __name__ == "__main__":
    main()
