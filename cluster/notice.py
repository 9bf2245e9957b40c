#!/usr/bin/env python3
"""Wait until the cloud takes this spot machine back, then take it out of its Ray in order, with leave.sh, which lies beside.

    notice.py aws|gcp|azure

Asks the cloud's metadata service once a second; a cloud says it 30 seconds (gcp, azure) to 2 minutes (aws) before. One
runs per machine and user: a second one ends at once. Needs Python 3.8, and `ray` for leave.sh.
"""

from __future__ import annotations

import calendar
import email.utils
import fcntl
import http.client
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request

METADATA = os.environ.get("SWEEP_METADATA", "http://169.254.169.254")
POLL_S = 1.0
PATIENCE_S = 130.0
"""How long an answer may take: Azure's first one takes two minutes."""

LEAST_S = 30.0
"""What is left where the cloud does not say: what gcp and azure give at least."""


def aws(_: dict[str, str]) -> float | None:
    """Seconds that are left; None while there is no notice."""
    token = ask("/latest/api/token", {"X-aws-ec2-metadata-token-ttl-seconds": "300"}, method="PUT")
    said = ask("/latest/meta-data/spot/instance-action", {"X-aws-ec2-metadata-token": token} if token else {})
    if said is None:
        return None
    return calendar.timegm(time.strptime(json.loads(said)["time"], "%Y-%m-%dT%H:%M:%SZ")) - time.time()


def gcp(_: dict[str, str]) -> float | None:
    """The same."""
    said = ask("/computeMetadata/v1/instance/preempted", {"Metadata-Flavor": "Google"})
    return LEAST_S if said is not None and said.strip() == "TRUE" else None


def azure(known: dict[str, str]) -> float | None:
    """The same; an event names the machines that it is about."""
    header = {"Metadata": "true"}
    if not known.get("name"):
        known["name"] = ask("/metadata/instance/compute/name?api-version=2021-02-01&format=text", header) or ""
    said = ask("/metadata/scheduledevents?api-version=2020-07-01", header)
    for event in json.loads(said or "{}").get("Events", ()):
        if event["EventType"] in ("Preempt", "Terminate") and known["name"] in event["Resources"]:
            begins = email.utils.parsedate_to_datetime(event["NotBefore"]).timestamp() if event.get("NotBefore") else 0
            return begins - time.time() if begins else LEAST_S
    return None


def ask(path: str, headers: dict[str, str], method: str = "GET") -> str | None:
    """Return what the metadata service says; None where it has nothing of the kind."""
    request = urllib.request.Request(METADATA + path, headers=headers, method=method)
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(request, timeout=PATIENCE_S) as answer:
            return str(answer.read(), "utf-8")
    except urllib.error.HTTPError as error:
        if error.code in (403, 404, 405):
            return None
        raise


def main() -> None:
    """Wait for a notice, then leave."""
    left_s_of = {"aws": aws, "gcp": gcp, "azure": azure}[sys.argv[1]]
    lock = open(os.path.expanduser("~/.sweep-notice"), "w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return
    known: dict[str, str] = {}
    wrong = ""
    while True:
        try:
            left_s, wrong = left_s_of(known), ""
        except (OSError, http.client.HTTPException, ValueError, LookupError, TypeError, AttributeError) as error:
            left_s = None
            if str(error) != wrong:
                wrong = str(error)
                print(f"the metadata service of {sys.argv[1]} does not answer as it should: {wrong}", flush=True)
        if left_s is not None:
            break
        time.sleep(POLL_S)
    seconds = max(1, int(left_s))
    print(f"this machine is taken away in {seconds} s", flush=True)
    leave = os.path.join(os.path.dirname(os.path.abspath(__file__)), "leave.sh")
    sys.exit(subprocess.call(["sh", leave, str(seconds)]))


if __name__ == "__main__":
    main()
