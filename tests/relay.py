"""A wire with a delay: passes packets between two network devices of this network namespace, each some time after it came.

python relay.py DEVICE DEVICE SECONDS      python relay.py DEVICE  (only lets the kernel check and cut packets by itself)
"""

import collections
import ctypes
import fcntl
import select
import socket
import struct
import sys
import time

SWITCHES_OFF = (0x17, 0x19, 0x1F, 0x24)
"""ethtool's commands for what a device does to packets later than a relay sees them: checksums, and cutting large ones."""

ETHTOOL, EVERY_PROTOCOL, OUTGOING, PROMISCUOUS = 0x8946, 0x0003, 4, struct.pack("HH8s", 1, 0, b"")


def prepare(device):
    """Let packets be complete when they reach a device."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        for switch in SWITCHES_OFF:
            value = ctypes.create_string_buffer(struct.pack("II", switch, 0), 8)
            fcntl.ioctl(asked, ETHTOOL, struct.pack("16sP", device.encode(), ctypes.addressof(value)) + bytes(16))


def opened(device):
    """Return a socket that gets every packet of a device."""
    found = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(EVERY_PROTOCOL))
    found.bind((device, 0))
    found.setblocking(False)
    found.setsockopt(263, 1, struct.pack("i", socket.if_nametoindex(device)) + PROMISCUOUS)
    found.setsockopt(socket.SOL_SOCKET, 33, 1 << 26)  # the largest buffer that root may have
    return found


def relay(devices, delay_s):
    """Pass packets on, for ever."""
    one, other = map(opened, devices)
    target = {one: other, other: one}
    waiting = collections.deque()  # the delay is the same for all, so they leave in the order in which they came
    while True:
        left_s = waiting[0][0] - time.monotonic() if waiting else 1.0
        for source in select.select([one, other], [], [], max(0.0, left_s))[0]:
            for _ in range(64):
                try:
                    packet, address = source.recvfrom(70_000)
                except BlockingIOError:
                    break
                if address[2] != OUTGOING:
                    waiting.append((time.monotonic() + delay_s, target[source], packet))
        while waiting and waiting[0][0] <= time.monotonic():
            _, out, packet = waiting.popleft()
            try:
                out.send(packet)
            except OSError:
                continue  # a full queue loses packets, as queues do


if __name__ == "__main__":
    *names, last = sys.argv[1:]
    for name in names or [last]:
        prepare(name)
    if names:
        relay(names, float(last))
