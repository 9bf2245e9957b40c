#!/bin/sh
# Run a sweep once, however often the job around it begins anew: goes on with the sweep in SWEEP_RUNS_DIR, else starts it.
#
#   SWEEP_RUNS_DIR=/shared/runs/lr-study  run-or-resume.sh SPEC [options of sweep run that sweep resume has too]
#
# One folder is one sweep: give each its own. The exit code is that of `sweep`.
set -eu
: "${SWEEP_RUNS_DIR:?the folder of this one sweep, on a disk that every node sees}"
spec=$1
shift
mkdir -p "$SWEEP_RUNS_DIR"
if [ -n "$(sweep ls -q 2>/dev/null)" ]; then
    exec sweep resume last "$@"
fi
exec sweep run "$spec" "$@"
