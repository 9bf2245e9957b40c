"""The real `sweep` command with a fault built in: death at a commit of its ledger, or a short lease for its workers.

python driver.py DIE_AT LEASE_S ARGV...  (``-`` for neither)
"""

import os
import sys
from pathlib import Path


def main():
    die_at, lease_s, *argv = sys.argv[1:]
    sys.path.append(str(Path(__file__).parents[2]))
    sys.argv = ["sweep", *argv]
    if die_at != "-":
        from tests.faults.warm import die_at_commit

        die_at_commit(os.open(os.devnull, os.O_WRONLY), int(die_at))
    if lease_s != "-":
        from orchestrator.execution.ray.pool import RayPool

        RayPool.__init__.__kwdefaults__["lease_s"] = float(lease_s)
    from orchestrator.cli.main import main as sweep

    sweep()


if __name__ == "__main__":
    main()
