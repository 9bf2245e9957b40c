"""Optuna speaks to people who call it directly; inside a sweep its remarks are noise."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Optuna's log below errors while this is open, and leave its level as it was."""
    import optuna  # noqa: F401 - its import sets the level that is to be put back

    logger = logging.getLogger("optuna")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
