"""Take memory of the GPU until there is none."""

import torch
from device import fill, first_op

from orchestrator import report

first_op()
report({"began": 1})
fill()
