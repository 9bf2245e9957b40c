"""Say when the program's own first line ran, and when its first operation on the device was done."""

import time

import torch
from device import first_op

print("first line", time.time())
first_op()
print("first op", time.time())
