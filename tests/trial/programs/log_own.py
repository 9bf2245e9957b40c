import sys

import orchestrator
from model import epochs

for step, metrics in epochs(float(sys.argv[1].partition("=")[2])):
    orchestrator.report(metrics, step=step)
