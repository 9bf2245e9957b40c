"""What a node is given that does not see the runs directory."""

import io

import pytest

from orchestrator.errors import ProgramError
from orchestrator.execution.shipping.baggage import Baggage, Code
from orchestrator.project.listing import files_of, project_of
from orchestrator.project.snapshot import pack


def test_files_and_code_are_put_in_their_places(tmp_path):
    """And code that is not what it is called is refused."""
    (tmp_path / "project").mkdir()
    (tmp_path / "project/train.py").write_text("1")
    project = project_of(tmp_path / "project")
    archive = io.BytesIO()
    contents = pack(project, files_of(project), archive)
    code = Code(place=f"code/{contents.fingerprint}", contents=contents.entries, archive=archive.getvalue())
    Baggage(files={"function.pkl": b"f"}, code=code).unpack(tmp_path / "sweep")
    assert (tmp_path / f"sweep/code/{contents.fingerprint}/train.py").read_text() == "1"
    assert (tmp_path / "sweep/function.pkl").read_bytes() == b"f"
    other = Code(place="code/x", contents={"train.py": "f 0"}, archive=archive.getvalue())
    with pytest.raises(ProgramError, match="does not hold what it should"):
        Baggage(code=other).unpack(tmp_path / "other")
