"""How this process authenticates to Ray: by variables that Ray reads once, and a token that it may have."""

import importlib
import os
from collections.abc import Mapping
from typing import Any


def authenticate(variables: Mapping[str, str]) -> None:
    """Say on every path how to authenticate: what Ray does by itself depends on the path and on files it finds."""
    os.environ.update(variables)
    read_environment_again()


def read_environment_again() -> None:
    """Make Ray, which looks once, see the variables that are set now."""
    raylet().Config.initialize("")
    raylet().AuthenticationTokenLoader.instance().reset_cache()


def has_token() -> bool:
    """Whether RAY_AUTH_TOKEN, RAY_AUTH_TOKEN_PATH or ~/.ray/auth_token holds one."""
    return bool(raylet().AuthenticationTokenLoader.instance().has_token(ignore_auth_mode=True))


def raylet() -> Any:
    """Return Ray's compiled module; its stubs know nothing of authentication."""
    return importlib.import_module("ray._raylet")
