"""Write where this process may not."""

import torch
from device import access_illegally, first_op

from orchestrator import report

first_op()
report({"began": 1})
access_illegally()
