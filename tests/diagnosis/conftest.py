import pytest

from orchestrator.diagnosis.model import Case, Series


@pytest.fixture
def a_case():
    """A function: metrics by name (``valid__loss`` is ``valid/loss``) and fields of a case to a case."""

    def make(fields=None, /, **metrics):
        series = {
            (name := key.replace("__", "/")): Series(
                name=name,
                values=list(values),
                reports=list(range(1, len(values) + 1)),
                times=[100.0 + i for i in range(len(values))],
            )
            for key, values in metrics.items()
        }
        given = {"objective": "valid/loss", "begun": 99.0, "now": 100.0 + max(map(len, metrics.values()), default=0)}
        return Case(**({"series": series} | given | (fields or {})))

    return make
