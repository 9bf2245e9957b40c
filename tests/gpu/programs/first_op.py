"""Say when the first operation on the device was done."""

import time

import torch
from device import first_op

first_op()
print("first op", time.time())
