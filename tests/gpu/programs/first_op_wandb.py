"""Say when the program's own first line ran, and when its first operation on the device was done, after wandb.init()."""

import time

import torch
import wandb
from device import first_op

print("first line", time.time())
with wandb.init(project="gpu") as run:
    first_op()
    print("first op", time.time())
