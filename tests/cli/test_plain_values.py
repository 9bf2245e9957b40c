import subprocess
import sys
from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.main import get_command

from orchestrator.cli.plain_values import take_plain_values

SPEC = """
program: train.py
method: random
parameters: {lr: {min: 0.0, max: 1.0}}
"""


def called(words, *, plain):
    """What a command with parameters of every kind gets for some words."""
    app, found = typer.Typer(add_completion=False), {}

    @app.command()
    def command(  # noqa: PLR0917 - a parameter of each kind
        names: Annotated[list[str] | None, typer.Argument()] = None,
        more: Annotated[list[str] | None, typer.Option()] = None,
        text: str | None = None,
        word: str = "x",
        number: Annotated[int, typer.Option(min=1)] = 3,
        share: float | None = None,
        flag: bool | None = None,
        place: Path | None = None,
        kept: Annotated[Path | None, typer.Option(exists=True, dir_okay=False)] = None,
    ):
        found.update(locals())

    made = get_command(app)
    if plain:
        take_plain_values(made.params)
    made(words, standalone_mode=False)
    return {key: value for key, value in found.items() if key not in {"app", "found"}}


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["a", "b"],
        ["--more", "c", "--more=d"],
        ["--text", "", "--word", "y"],
        ["--number", "4", "--share", "1e-3"],
        ["--number", "0012", "--share", "0.25"],
        ["--number", "1_0", "--share", "2"],
        ["--place", "."],
        ["--place", "no/such/./place"],
        ["--kept", __file__],
        ["--flag"],
    ],
)
def test_values_are_the_same(words):
    """A command gets what it would get from Typer."""
    assert called(words, plain=True) == called(words, plain=False)


@pytest.mark.parametrize("words", [["--number", "0"], ["--number", "x"], ["--share", "x"], ["--kept", "."]])
def test_errors_are_the_same(words):
    """What is no value is refused in Typer's words."""
    errors = []
    for plain in (True, False):
        with pytest.raises(Exception, match=r".") as error:
            called(words, plain=plain)
        errors.append((type(error.value), error.value.format_message()))
    assert errors[0] == errors[1]


@pytest.mark.parametrize("words", [["check", "sweep.yaml"], ["ls", "--runs-dir", "runs"]])
def test_commands_import_nothing_to_convert_their_words(words, tmp_path):
    """Neither pydantic nor what W&B, NumPy and the terminal's tables bring along."""
    (tmp_path / "sweep.yaml").write_text(SPEC)
    (tmp_path / "train.py").write_text("")
    (tmp_path / "runs").mkdir()
    code = (
        "import sys; from orchestrator.cli.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(sorted({'pydantic', 'numpy', 'scipy', 'wandb', 'rich', 'textual', 'jinja2', 'ray'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code, *words]
    done = subprocess.run(command, check=True, cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]", done.stdout
