"""The line of shell that finds `sweep`, run by a real shell."""

import json
import os
import shutil
import subprocess

import pytest

from orchestrator.remote.entrypoint import MISSING, NOT_FOUND, of_job, of_ssh
from orchestrator.remote.request import Request

ASKED = Request(words=["ls", "--where", "a'b\"$(touch /tmp/no) `x`"])


@pytest.fixture
def here(tmp_path):
    """A folder with an environment that has a `sweep`, which says what it got, and a home without one."""
    for folder in ("env/bin", "home/.local/bin"):
        (tmp_path / folder).mkdir(parents=True)
    sweep = tmp_path / "env/bin/sweep"
    sweep.write_text('#!/bin/sh\necho "$0"\nprintf "%s" "$2"\ncat\n')
    sweep.chmod(0o755)
    return tmp_path


def said(line, here, **environ):
    """What a shell says to a line: where the command lies, and what it was asked."""
    env = {"PATH": os.environ["PATH"], "HOME": str(here / "home"), **environ}
    done = subprocess.run(["/bin/sh", "-c", line], cwd=here, env=env, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("place", ["env", "env/bin/python", "env/bin/sweep"])
def test_the_environment_that_is_named_has_it(here, place):
    """By its folder, its Python or its `sweep`; the request comes whole, and standard input with it."""
    (here / "stdin").write_text("\nparcel")
    code, out, _ = said(of_job(str(here / place), ASKED, package_has_stdin=True), here)
    where, request, rest = out.split("\n")
    assert (code, where, rest) == (0, str(here / "env/bin/sweep"), "parcel")
    assert json.loads(request)["words"] == ASKED.words
    assert said(of_ssh(str(here / place), ASKED), here)[1].startswith(where)


def test_else_it_is_looked_for_in_the_usual_places(here):
    """On PATH, and where pip and uv put commands of a user."""
    path = f"{here / 'env/bin'}:/usr/bin:/bin"
    assert said(of_job(None, ASKED, package_has_stdin=False), here, PATH=path)[0] == 0
    shutil.copy(here / "env/bin/sweep", here / "home/.local/bin/sweep")
    assert said(of_ssh(None, ASKED), here, PATH="/usr/bin:/bin")[1].startswith(str(here / "home/.local/bin/sweep"))


@pytest.mark.parametrize("line", [of_job("/nowhere", ASKED, package_has_stdin=False), of_ssh(None, ASKED)])
def test_where_there_is_none_it_says_so(here, line):
    """With an exit code and a word that are nothing else's."""
    code, _, err = said(line, here, PATH="/usr/bin:/bin")
    assert code == NOT_FOUND
    assert MISSING in err
