"""W&B's calls around a sweep, in the script that starts it: that nobody is logged in is no reason for them to fail."""

import importlib
import os
import sys
from typing import Any, NoReturn

from orchestrator.errors import SweepError

UNREACHED = (
    "did not respond",
    "deadline",
    "connection",
    "timeout",
    "timed out",
    "no such host",
    "unreachable",
    "retry",
)
"""What W&B's error says when its server was not reached, in lower case: then it did not refuse anything either."""


def library() -> Any:
    """Return W&B's own module.

    Raises:
        ModuleNotFoundError: It is not installed; the message names what needs no W&B.
    """
    try:
        return importlib.import_module("wandb")
    except ModuleNotFoundError as error:
        if error.name != "wandb":
            raise
        text = (
            "No module named 'wandb'; orchestrator.report(...) needs none, wandb.init and its like `pip install wandb`"
        )
        raise ModuleNotFoundError(text, name="wandb") from None


def login(*args: Any, **kwargs: Any) -> bool:
    """Log in to W&B where that can be done; elsewhere say so, and return False: the sweep is kept here.

    Args:
        *args: As for W&B's own login.
        **kwargs: As for W&B's own login.

    Raises:
        wandb.errors.AuthenticationError: The server refuses the key.
    """
    wandb = library()
    try:
        return bool(wandb.login(*args, **kwargs))
    except (wandb.errors.UsageError, wandb.errors.CommError, EOFError, NotImplementedError, RuntimeError) as error:
        if isinstance(error, wandb.errors.AuthenticationError) and not _is_unreached(error):
            raise
        _say(
            f"not logged in to W&B ({_first_line(error)}); everything is kept here, and `sweep sync` can send it later"
        )
        return False


def init(*args: Any, **kwargs: Any) -> Any:
    """Begin a W&B run: the trial's inside of a trial; elsewhere W&B's own, offline where nobody is logged in."""
    wandb = library()
    try:
        return wandb.init(*args, **kwargs)
    except wandb.errors.UsageError as error:
        if "api key" not in str(error).lower() or "SWEEP_TRIAL_DIR" in os.environ:
            raise
        _say(f"not logged in to W&B ({_first_line(error)}); this run is recorded offline")
        return wandb.init(*args, **{**kwargs, "mode": "offline"})


def controller(*_: Any, **__: Any) -> NoReturn:
    """Refuse: here it is the agent that controls a sweep.

    Raises:
        SweepError: Always.
    """
    raise SweepError(
        "wandb.controller is not needed here: `wandb.agent` (or `sweep run`) chooses configs and ends trials itself.\n"
        "  Call wandb.agent(sweep_id, function=...) alone; `sweep show` tells how it goes on."
    )


def _is_unreached(error: Exception) -> bool:
    text = str(error).lower()
    return any(sign in text for sign in UNREACHED)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200].rstrip(".")


def _say(text: str) -> None:
    print(f"sweep: {text}", file=sys.stderr)  # noqa: T201 - to who reads the script's output
