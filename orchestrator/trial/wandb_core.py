"""One detached wandb core for all trials of a warm server: `wandb.init` then takes milliseconds instead of starting its own."""

import os
import signal
from dataclasses import dataclass

IDLE_TIMEOUT = "10m"
"""A core whose owners were all killed ends by itself after this long without a client."""


@dataclass(frozen=True, slots=True)
class Core:
    """A running core: the token that clients find it by, and its pid."""

    token: str
    pid: int

    @classmethod
    def start(cls) -> "Core":
        """Start a core. Needs wandb, and imports it."""
        import wandb
        from wandb.sdk.lib.service import service_process

        process = service_process.start_detached(wandb.Settings(), idle_timeout=IDLE_TIMEOUT)
        return cls(str(process.token.env_value), process._process.pid)  # noqa: SLF001 - it has no public name

    def stop(self) -> None:
        """End the core."""
        try:
            os.kill(self.pid, signal.SIGTERM)
        except ProcessLookupError:
            return

    def finish_run(self, run_id: str, exit_code: int) -> None:
        """Finish the run of a trial that was killed: its pending rows are written, and how it ended."""
        os.environ["WANDB_SERVICE"] = self.token
        os.environ["WANDB_MODE"] = "offline"
        from wandb.sdk import wandb_init

        run = wandb_init._attach(attach_id=run_id)  # noqa: SLF001 - the only way to reach a run whose process is gone
        if run is not None:
            run.finish(exit_code=exit_code)
