"""A job server as Ray's, on loopback, whose jobs are processes here: what `test_job_server.py` holds to the real one."""

import base64
import hashlib
import io
import json
import os
import signal
import struct
import subprocess
import threading
import time
import zipfile
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from orchestrator.remote.websocket import GUID

TOKEN = "a-token-of-the-tests"


class State:
    """Packages and jobs; `cuts` is how many more connections to a log are cut off in the middle."""

    def __init__(self, path, environ):
        self.path, self.environ = path, environ
        self.packages, self.jobs, self.cuts, self.is_deaf = {}, {}, 0, False

    def log(self, job):
        return self.path / f"{job}.log"

    def start(self, job, entrypoint, package):
        place = self.path / job
        place.mkdir()
        if package is not None:
            zipfile.ZipFile(io.BytesIO(self.packages[package.removeprefix("gcs://")])).extractall(place)
        with self.log(job).open("w") as log:
            log.write(f"Runtime env is setting up.\nRunning entrypoint for job {job}: {entrypoint}\n")
            log.flush()
            self.jobs[job] = subprocess.Popen(
                entrypoint, shell=True, cwd=place, env=self.environ, stdout=log, stderr=log, start_new_session=True
            )

    def details(self, job):
        code = self.jobs[job].poll()
        status = "RUNNING" if code is None else "SUCCEEDED" if code == 0 else "FAILED"
        return {"status": status, "driver_exit_code": code, "message": ""}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, text=""):
        self.send_response(status)
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def handle_one_request(self):
        """As the server's own, for any method."""
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline:
            self.close_connection = True
        elif self.parse_request():
            self.do_anything()
            self.wfile.flush()

    def do_anything(self):  # noqa: C901 - a table
        state = self.server.state
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.answer(403 if self.headers.get("Authorization") else 401, "Unauthorized")
        match [self.command, *self.path.strip("/").split("/")]:
            case ["GET", "api", "version"]:
                self.answer(200, '{"ray_version": "2.60.0"}')
            case ["GET", "api", "packages", "gcs", name]:
                self.answer(200 if name in state.packages else 404)
            case ["PUT", "api", "packages", "gcs", name]:
                state.packages[name] = body
                self.answer(200)
            case ["POST", "api", "jobs"]:
                asked = json.loads(body)
                if asked["submission_id"] in state.jobs:
                    return self.answer(500, "Traceback\nValueError: already submitted")
                state.start(
                    asked["submission_id"], asked["entrypoint"], asked.get("runtime_env", {}).get("working_dir")
                )
                if state.is_deaf:
                    return self.answer(500, "Traceback\nTimeoutError: the answer got lost")
                self.answer(200, json.dumps({"submission_id": asked["submission_id"]}))
            case ["GET", "api", "jobs", job] if job in state.jobs:
                self.answer(200, json.dumps(state.details(job)))
            case ["POST", "api", "jobs", job, "stop"] if job in state.jobs:
                os.killpg(state.jobs[job].pid, signal.SIGTERM)
                self.answer(200, "{}")
            case ["GET", "api", "jobs", job, "logs", "tail"] if job in state.jobs:
                self.tail(state, job)
            case _:
                self.answer(404, "there is none")
        return None

    def tail(self, state, job):
        accept = hashlib.sha1((self.headers["Sec-WebSocket-Key"] + GUID).encode()).digest()
        self.send_response(101)
        for name, value in (("Upgrade", "websocket"), ("Connection", "Upgrade")):
            self.send_header(name, value)
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(accept).decode())
        self.end_headers()
        self.close_connection = True
        with state.log(job).open() as log:
            self.frame(9, b"are you there")
            while True:
                is_over = state.jobs[job].poll() is not None
                text = log.read(20_000)
                if text:
                    half = len(text) // 2
                    self.frame(1, text[:half].encode(), is_last=False)
                    if state.cuts:
                        state.cuts -= 1
                        return None
                    self.frame(0, text[half:].encode())
                elif is_over:
                    return self.frame(8, b"")
                else:
                    time.sleep(0.02)

    def frame(self, kind, data, *, is_last=True):
        head = bytes([(0x80 if is_last else 0) | kind])
        head += bytes([len(data)]) if len(data) < 126 else struct.pack(">BH", 126, len(data))
        self.wfile.write(head + data)
        self.wfile.flush()


@contextmanager
def a_job_server(path, environ):
    """Yield (address, state) of a server whose jobs see this environment; its jobs end with it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.state = State(path, environ)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", server.state
    finally:
        for running in server.state.jobs.values():
            if running.poll() is None:
                os.killpg(running.pid, signal.SIGKILL)
            running.wait()
        server.shutdown()
        server.server_close()
