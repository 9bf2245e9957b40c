"""What the raylet of a local Ray starts in place of its two agents: it says that they serve nothing, and waits.

    python -I -S stand_in.py AGENT --session-dir=DIR --node-id=ID ...

Ray's own (metrics for a dashboard, environments that are made for one actor) import for three CPU seconds, and a raylet
waits for both. Sweeps use neither. A raylet wants to read the ports of either, and ends when one of them does.
"""

import os
import sys
import time
from pathlib import Path

NONE = -1
"""The port of a service that there is not, as Ray writes it."""

CLOSED = 1
"""A port that nobody listens on, for the service that Ray cannot do without until it is asked for."""

RAYLET = "raylet"
"""What the kernel calls the process that starts this one: one that was killed before it had done so is none any more."""

PORTS = {
    "agent.py": {"metrics_agent_port": NONE, "metrics_export_port": NONE, "dashboard_agent_listen_port": NONE},
    "main.py": {"runtime_env_agent_port": CLOSED},
}
"""The files of ports that each agent writes, by the name of its script (Ray 2.60)."""


def main() -> None:
    """Write the ports of the agent that the arguments name, and live as long as the raylet that started this one."""
    options = dict(argument[2:].split("=", 1) for argument in sys.argv[2:] if argument[:2] == "--" and "=" in argument)
    for name, port in PORTS[Path(sys.argv[1]).name].items():
        path = Path(options["session-dir"], f"{name}_{options['node-id']}")
        unfinished = path.with_name(f"{path.name}.unfinished")
        unfinished.write_text(str(port))
        unfinished.replace(path)
    while _name(os.getppid()) == RAYLET:
        time.sleep(0.5)


def _name(process: int) -> str:
    """Return what the kernel calls a process; one that is gone has no name."""
    try:
        return Path(f"/proc/{process}/comm").read_text().strip()
    except OSError:
        return ""


if __name__ == "__main__":
    main()
