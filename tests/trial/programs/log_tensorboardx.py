from model import epochs
from tensorboardX import SummaryWriter

writer = SummaryWriter()
for step, metrics in epochs():
    for name, value in metrics.items():
        writer.add_scalar(name, value, step)
