"""What a training script takes on its command line, read from its source: the script never runs."""

from orchestrator.arguments.model import Argument, Arguments, Kind, Style
from orchestrator.arguments.reader import arguments_of

__all__ = ["Argument", "Arguments", "Kind", "Style", "arguments_of"]
