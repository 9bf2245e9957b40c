"""What patterns name, held against git itself."""

import subprocess

import pytest

from orchestrator.project.ignoring import NEVER, Patterns, patterns_of

PATTERNS = [
    "*.pt",
    "data/",
    "/top",
    "a/b",
    "**/deep/x",
    "logs/**",
    "!keep.pt",
    "[ab]?.txt",
    "[!x]y",
    "sp ace",
    "trail  ",
    "\\#hash",
    "# comment",
    "a/**/z",
    "[open",
]
FILES = [
    "m.pt",
    "keep.pt",
    "s/m.pt",
    "data/x",
    "s/data/y",
    "top",
    "s/top",
    "a/b",
    "s/a/b",
    "q/deep/x",
    "deep/x",
    "logs/1/2",
    "s/logs/1",
    "a1.txt",
    "c1.txt",
    "xy",
    "zy",
    "sp ace",
    "trail",
    "#hash",
    "a/z",
    "a/1/2/z",
    "plain.py",
    "b/file\n.py",
]


def test_patterns_name_what_git_ignores(tmp_path):
    """Every kind of pattern, on files at the top and below, against `git check-ignore`."""
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    (tmp_path / ".gitignore").write_text("\n".join(PATTERNS))
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    asked = "\0".join(FILES).encode()
    done = subprocess.run(
        ["git", "-C", tmp_path, "check-ignore", "-z", "--stdin"], input=asked, capture_output=True, check=True
    )
    ignored = {name for name in done.stdout.decode().split("\0") if name}
    patterns = patterns_of("\n".join(PATTERNS))
    assert {name for name in FILES if patterns.name_any(name)} == ignored
    assert len(ignored) > 12


@pytest.mark.parametrize(
    ("path", "is_secret"),
    [
        (".env", True),
        ("conf/.env.production", True),
        (".env.example", False),
        ("keys/server.pem", True),
        ("id_ed25519", True),
        ("id_map.py", False),
        ("credentials", True),
        (".aws/config", True),
        ("s/.ssh/known_hosts", True),
        ("model.py", False),
        ("environment.yaml", False),
        ("secrets.py", False),
    ],
)
def test_secrets_are_known_by_name(path, is_secret):
    """The usual ones; a module that is called nearly so is none."""
    assert Patterns(NEVER).name_any(path) is is_secret
