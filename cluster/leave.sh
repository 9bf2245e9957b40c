#!/bin/sh
# Take this machine out of its Ray in order: what runs here gets SIGTERM, has the time that is left to save, and runs again elsewhere.
#
#   leave.sh SECONDS    in which this machine will end
#
# For whatever knows that before it happens: a container's preStop hook, a notice for a spot instance, ExecStop of systemd. SIGTERM
# to Ray itself comes too late for that: it kills what runs there at once. Returns as soon as Ray has ended here, or the time is over.
set -eu
seconds=$1
raylet=$(grep -lx raylet /proc/[0-9]*/comm 2>/dev/null | head -n 1 | cut -d / -f 3)
[ -n "$raylet" ] || exit 0
option() { tr '\0' '\n' <"/proc/$raylet/cmdline" | sed -n "s/^--$1=//p" | head -n 1; }
gcs=$(option gcs-address) node=$(option node_id) ends=$(($(date +%s) + seconds))
is_time_left() { left=$((ends - $(date +%s))) && [ "$left" -gt 0 ]; }
drain() {
    timeout "$left" ray drain-node --address "$gcs" --node-id "$node" --reason DRAIN_NODE_REASON_PREEMPTION \
        --reason-message "its machine ends in $left s" --deadline-remaining-seconds "$left"
}
is_drained=false
while ! $is_drained && is_time_left && [ -d "/proc/$raylet" ]; do # the head may be away for a moment
    if drain; then is_drained=true; else sleep 1; fi
done
! is_time_left || timeout "$left" tail --pid="$raylet" -f /dev/null || true
$is_drained || [ ! -d "/proc/$raylet" ]
