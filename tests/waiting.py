"""Waiting for what others do."""

import time


def until(condition, told=lambda: "", patience_s=150.0):
    """Wait until a condition holds; return its value.

    Args:
        condition: Asked ten times a second: to look for a sweep's processes is to read the environment of every one there is.
        told: What is said where it does not come to hold.
        patience_s: How long.
    """
    deadline_s = time.monotonic() + patience_s
    while not (value := condition()):
        assert time.monotonic() < deadline_s, f"still waiting: {told()}"
        time.sleep(0.1)
    return value
