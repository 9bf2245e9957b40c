"""The rows of a trial's attempts, joined."""

from orchestrator.trial.contract.events import Report
from orchestrator.trial.contract.history import joined


def rows(*pairs):
    return [Report(index=i, time=float(i), step=step, metrics=metrics) for i, (step, metrics) in enumerate(pairs)]


def seen(reports):
    assert [report.index for report in reports] == list(range(len(reports)))
    return [(report.step, dict(report.metrics)) for report in reports]


def test_a_later_attempt_replaces_what_it_repeats():
    """From its first step on, metric by metric; what came before stays."""
    first = rows((1, {"loss": 5, "acc": 1}), (2, {"loss": 4}), (3, {"loss": 3, "acc": 3}))
    second = rows((3, {"loss": 0}), (4, {"loss": 1}))
    assert seen(joined([first, second])) == [
        (1, {"loss": 5, "acc": 1}),
        (2, {"loss": 4}),
        (3, {"acc": 3}),
        (3, {"loss": 0}),
        (4, {"loss": 1}),
    ]
    third = rows((2, {"loss": 7, "acc": 7}))
    assert seen(joined([first, second, third])) == [(1, {"loss": 5, "acc": 1}), (2, {"loss": 7, "acc": 7})]


def test_one_that_counts_no_steps_starts_over():
    """Nothing says which of the old values it repeats."""
    assert seen(joined([rows((None, {"loss": 5}), (None, {"loss": 4})), rows((None, {"loss": 9}))])) == [
        (None, {"loss": 9})
    ]
    assert seen(joined([rows((1, {"loss": 5}), (2, {"loss": 4}))])) == [(1, {"loss": 5}), (2, {"loss": 4})]
    assert joined([]) == joined([[], []]) == []


def test_what_is_taken_back_is_gone():
    """A purge voids values of its names from its step on, and is no row itself."""
    logged = rows((1, {"loss": 1, "acc": 1}), (5, {"loss": -100, "acc": 2}), (6, {"loss": -200}))
    purge = Report(index=3, time=3.0, step=5, metrics={}, part=True, purged=("loss",))
    again = rows((5, {"loss": 0.5}))
    assert seen(joined([[*logged, purge, *again]])) == [(1, {"loss": 1, "acc": 1}), (5, {"acc": 2}), (5, {"loss": 0.5})]
