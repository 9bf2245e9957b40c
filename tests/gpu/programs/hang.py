"""Start a kernel that never ends."""

import torch
from device import first_op, hang

from orchestrator import report

first_op()
report({"began": 1})
hang()
