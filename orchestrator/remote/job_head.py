"""A head that is reached through Ray's job server: what is asked of it is a job, and what it says is in the job's log."""

import contextlib
import hashlib
import io
import secrets
import signal
import threading
import zipfile
from collections.abc import Callable, Iterator

from orchestrator.errors import ClusterError, SweepError
from orchestrator.remote import frames
from orchestrator.remote.address import Address
from orchestrator.remote.entrypoint import MISSING, NOT_FOUND, not_there, of_job
from orchestrator.remote.job_server import MOST_PACKAGE, Job, JobServer
from orchestrator.remote.request import Request

BEGINS = "Running entrypoint for job "
"""How Ray's line in a job's log begins, after which the job's own words come."""


class JobHead:
    """The head of a cluster that has a job server.

    Args:
        address: Where that is.
        server: What speaks to it.
    """

    def __init__(self, address: Address, server: JobServer | None = None) -> None:
        self._address = address
        self._server = server or JobServer(address)

    def check(self) -> None:
        """Find out whether it answers.

        Raises:
            ClusterError: It does not.
        """
        self._server.check()

    def begin(self, job_id: str, request: Request, stdin: bytes | None = None) -> None:
        """Start a job that goes on by itself.

        Raises:
            ClusterError: It is not accepted.
            SweepError: What it is to read is too large.
        """
        package = None if stdin is None else self._package(stdin)
        entrypoint = of_job(self._address.place, request, package_has_stdin=stdin is not None)
        self._server.start(job_id, entrypoint, package=package)

    def lines(self, job_id: str) -> Iterator[str]:
        """Yield what a job prints itself, line by line, until it ends.

        Raises:
            ClusterError: The server is gone; the job goes on.
        """
        rest, has_begun = "", False
        for text in self._server.follow(job_id):
            *lines, rest = (rest + text).split("\n")
            for line in lines:
                if has_begun:
                    yield line
                has_begun = has_begun or line.startswith(BEGINS)
        if rest and has_begun:
            yield rest

    def end_of(self, job_id: str, said: list[str]) -> int:
        """Return the exit code of a job that is over.

        Args:
            job_id: Which one.
            said: The last lines that it printed.

        Raises:
            ClusterError: It never began, or Ray ended it.
            SweepError: There is no `sweep` on the head.
        """
        job = self._server.find(job_id)
        if job is not None and job.exit_code == NOT_FOUND and any(MISSING in line for line in said):
            raise not_there(self._address, said)
        if job is None or job.exit_code is None:
            raise ClusterError(f"job {job_id} has not run: {_why(job)}")
        return job.exit_code if job.exit_code >= 0 else 128 - job.exit_code

    def call(
        self,
        request: Request,
        *,
        stdin: bytes | None = None,
        out: Callable[[bytes], None],
        err: Callable[[bytes], None],
    ) -> int:
        """Run a command to its end and return its exit code; `request` is one that travels in frames.

        A command that is left before its end (Ctrl-C, a signal that ends this process) is ended there, too.

        Raises:
            ClusterError: It cannot be run.
        """
        job_id = f"sweep-{request.words[0]}-{secrets.token_hex(4)}"
        decoder = frames.Decoder()
        with _leaving_by_signal():
            try:
                self.begin(job_id, request, stdin)
                for text in self._server.follow(job_id):
                    for frame in decoder.feed(text):
                        if isinstance(frame, frames.Ended):
                            return frame.exit_code
                        (out if frame.stream == 1 else err)(frame.data)
            except BaseException:
                with contextlib.suppress(ClusterError):
                    self._server.stop(job_id)
                raise
        code = self.end_of(job_id, decoder.others)
        raise ClusterError(f"job {job_id} ended with {code}, and in the middle:\n  " + "\n  ".join(decoder.others[-5:]))

    def _package(self, stdin: bytes) -> str:
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr(zipfile.ZipInfo("stdin"), stdin)
        data = packed.getvalue()
        if len(data) >= MOST_PACKAGE:
            raise SweepError(
                f"{len(data) / 2**20:,.0f} MiB are more than Ray's job server takes ({MOST_PACKAGE >> 20} MiB).\n"
                "  Name what trials do not need in .sweepignore, or submit by ssh://USER@HOST, which has no limit."
            )
        return self._server.upload(f"_ray_pkg_{hashlib.sha256(data).hexdigest()[:32]}.zip", data)


@contextlib.contextmanager
def _leaving_by_signal() -> Iterator[None]:
    """Let SIGTERM and SIGHUP, once, be an exception while inside; what a parent ignores (nohup) stays ignored."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    ours = [number for number, handler in before.items() if handler is not signal.SIG_IGN]

    def leave(number: int, _: object) -> None:
        for each in ours:
            signal.signal(each, signal.SIG_IGN)
        raise SystemExit(128 + number)

    for number in ours:
        signal.signal(number, leave)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, before[number])


def _why(job: Job | None) -> str:
    if job is None:
        return "the job server knows nothing of it"
    return f"{job.status.lower()}: {job.message.strip()[:600]}"
