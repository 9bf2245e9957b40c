"""What travels: all that is lacking, in the locked versions, and nothing that no check uses."""

import tarfile

import pytest

from tests.gpu.bundle import PRESENT, ROOT, UNUSED, lacking, names_in, pack, pins_in, strip, unused

NEEDS = {
    "us": ['us[more]; extra == "all"', 'ray[tune]>=2; extra == "more"', "Torch", 'win; sys_platform == "win32"'],
    "ray": ['pyarrow; extra == "tune"', "jsonschema", 'fastapi; extra == "serve"'],
    "jsonschema": ["attrs", "rpds_py"],
}


def test_what_is_lacking_is_found_through_everything_that_needs_it():
    """Extras that are asked for count, other platforms and what is present do not, and names are normal."""
    found = lacking("us[all]", {"torch", "attrs"}, lambda name: NEEDS.get(name, []))
    assert found == {"ray", "pyarrow", "jsonschema", "rpds-py"}


def test_every_package_that_is_said_to_be_present_is_a_locked_one():
    """A misspelt name would be carried, unseen."""
    pins = pins_in((ROOT / "constraints.txt").read_text())
    assert names_in(PRESENT.read_text()) <= set(pins)
    assert pins["ray"].count(".") == 2


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("ray/jars/ray_dist.jar", True),
        ("ray/rllib/algorithms/ppo.py", True),
        ("ray/dashboard/client/build/main.js", True),
        ("ray/dashboard/consts.py", False),
        ("ray/_raylet.so", False),
        ("ray/tune/tuner.py", False),
        ("wandb/bin/wandb-core", False),
        ("bin/sweep", True),
    ],
)
def test_only_what_no_check_uses_stays_at_home(path, expected):
    """By the patterns' own order of slashes."""
    assert unused(path) == expected


def test_a_bundle_has_what_was_left_after_stripping(tmp_path):
    """Directories that became empty are gone too; the same content is the same file."""
    site = tmp_path / "work" / "site"
    for name in ("ray/jars/a.jar", "ray/tune/tuner.py"):
        (site / name).parent.mkdir(parents=True)
        (site / name).write_text("x")
    strip(site)
    pack(tmp_path / "work", tmp_path / "one.tar.xz")
    pack(tmp_path / "work", tmp_path / "two.tar.xz")
    with tarfile.open(tmp_path / "one.tar.xz") as packed:
        assert packed.getnames() == ["site", "site/ray", "site/ray/tune", "site/ray/tune/tuner.py"]
    assert (tmp_path / "one.tar.xz").read_bytes() == (tmp_path / "two.tar.xz").read_bytes()
    assert UNUSED
