"""An enum whose members are text, as `enum.StrEnum` makes it, which Python has since 3.11."""

from __future__ import annotations

from enum import Enum


class TextEnum(str, Enum):
    """Members are their values wherever text is wanted."""

    def __str__(self) -> str:
        return str(self.value)
