"""`sweep cluster` as it is typed."""

import json

from tests.cli.shell import sweep


def test_what_cannot_be_reached_is_named(tmp_path):
    """A row for each machine, what is wrong and how to mend it, exit code 1; a file that is wrong has exit code 2."""
    (tmp_path / "hosts.yaml").write_text("- {host: 127.0.0.1, port: 1}\n")
    done = sweep("cluster", "status", "hosts.yaml", cwd=tmp_path)
    assert done.returncode == 1
    assert "127.0.0.1  failed" in done.stdout
    assert "mend: " in done.stdout
    found = sweep("cluster", "up", "hosts.yaml", "--json", cwd=tmp_path)
    assert found.returncode == 1
    assert json.loads(found.stdout)[0]["standing"] == "failed"
    (tmp_path / "hosts.yaml").write_text("- {host: a b}\n")
    wrong = sweep("cluster", "up", "hosts.yaml", cwd=tmp_path)
    assert (wrong.returncode, "Traceback" in wrong.stderr) == (2, False)
