import argparse

from model import epochs
from torch.utils.tensorboard import SummaryWriter

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
writer = SummaryWriter()
for step, metrics in epochs(parser.parse_args().lr):
    for name, value in metrics.items():
        writer.add_scalar(name, value, step)
