"""Hold 16 GiB of the GPU, outside any sweep, until it is killed."""

import sys

from device import hold

kept = hold(16 << 10)
print("holds", flush=True)
sys.stdin.read()
