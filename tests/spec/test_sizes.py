import pytest

from orchestrator.spec.sizes import parse_size


@pytest.mark.parametrize(
    ("text", "n_bytes"),
    [
        ("8GiB", 8 * 2**30),
        ("8gi", 8 * 2**30),
        ("500MB", 500_000_000),
        ("1.5k", 1500),
        ("2 TiB", 2 * 2**40),
        ("100b", 100),
        ("100", 100),
        (100, 100),
        (1e9, None),
        (2.5, 2),
    ],
)
def test_amounts_of_memory(text, n_bytes):
    """Powers of ten and of two, or a number of bytes."""
    assert parse_size(text) == (n_bytes if n_bytes is not None else 10**9)


@pytest.mark.parametrize("text", ["", "lots", "8 GB RAM", "-8GiB", 0, "0", True, None, [8], float("nan"), float("inf")])
def test_what_is_no_amount(text):
    """Nothing that is not greater than 0."""
    assert parse_size(text) is None
