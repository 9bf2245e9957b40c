"""Short ways to read a spec, for the tests of the reader."""

from orchestrator.spec import load_text

HEAD = "program: train.py\nmethod: random\n"


def read(text):
    return load_text(text, path="s.yaml")


def said(reading):
    """Return each finding as ``line:column severity where: message``."""
    return [
        f"{f.mark.line}:{f.mark.column} {f.severity} {f.where}: {f.message}" if f.mark else f"{f.severity}: {f.message}"
        for f in reading.findings
    ]


def with_parameter(given, head=HEAD):
    """Return the reading of a spec whose one parameter, ``a`` in line 4, is this flow mapping (from column 6 on)."""
    return read(f"{head}parameters:\n  a: {given}\n")


def parameter(given, head=HEAD):
    """Return the one parameter of a spec that has no findings."""
    reading = with_parameter(given, head)
    assert said(reading) == []
    return reading.spec.parameters["a"]


def problem(given, head=HEAD):
    """Return the one finding about a parameter, and the parameter as read (None with errors)."""
    reading = with_parameter(given, head)
    (finding,) = reading.findings
    return finding, reading.spec.parameters["a"] if reading.spec else None


def with_keys(keys, method="random"):
    """Return the reading of a spec with more top-level keys, which begin in line 4."""
    return read(f"program: train.py\nmethod: {method}\nparameters: {{a: {{values: [1, 2]}}}}\n{keys}\n")
