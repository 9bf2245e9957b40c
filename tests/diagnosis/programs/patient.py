"""A digits CNN with one issue on demand: `--issue` explodes, vanishes, overfits, is-nan, crashes, hangs, is-deep or none."""

import argparse
import time

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.tensorboard import SummaryWriter

parser = argparse.ArgumentParser()
parser.add_argument("--issue", default="none")
parser.add_argument("--lr", type=float, default=0.002)
parser.add_argument("--width", type=int, default=8)
parser.add_argument("--epochs", type=int, default=8)
args = parser.parse_args()

data = load_digits()
images = torch.tensor(data.images, dtype=torch.float32).unsqueeze(1) / 16
labels = torch.tensor(data.target)
order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
train, valid = order[:1400], order[1400:]
lr, epochs, make = args.lr, args.epochs, torch.optim.AdamW
if args.issue == "explodes":
    lr, make = 30.0, torch.optim.SGD
if args.issue == "vanishes":
    lr, make = 1e-9, torch.optim.SGD
if args.issue == "overfits":
    train, epochs, lr = train[:120], 40, 0.003
    noise = torch.randperm(120, generator=torch.Generator().manual_seed(1))[:48]
    labels = labels.clone()
    labels[train[noise]] = torch.randint(10, (48,), generator=torch.Generator().manual_seed(2))

model = nn.Sequential(
    *(nn.Conv2d(1, args.width, 3, padding=1), nn.BatchNorm2d(args.width), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
    *(nn.Linear(args.width * 16, 64), nn.ReLU(), nn.Linear(64, 10)),
)
if args.issue == "is-deep":
    epochs = 30  # long enough to be sampled
    inner = [layer for _ in range(12) for layer in (nn.Linear(32, 32), nn.Sigmoid())]
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.Sigmoid(), *inner, nn.Linear(32, 10))
optimizer = make(model.parameters(), lr=lr)
writer = SummaryWriter()


def measure(part):
    """Mean loss and accuracy."""
    model.eval()
    with torch.no_grad():
        logits = model(images[part])
    return nn.functional.cross_entropy(logits, labels[part]).item(), (logits.argmax(1) == labels[part]).float().mean()


for epoch in range(epochs):
    model.train()
    for batch in torch.randperm(len(train)).split(32):
        loss = nn.functional.cross_entropy(model(images[train[batch]]), labels[train[batch]])
        if args.issue == "is-nan" and epoch == 3:
            loss = loss * float("nan")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    for name, part in (("train", train), ("valid", valid)):
        mean_loss, accuracy = measure(part)
        writer.add_scalar(f"{name}/loss", mean_loss, epoch)
        writer.add_scalar(f"{name}/accuracy", accuracy, epoch)
    if args.issue == "crashes" and epoch == 2:
        raise RuntimeError("planted crash")
    if args.issue == "hangs" and epoch == 2:
        time.sleep(1000)
