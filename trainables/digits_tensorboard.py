"""Train the digits CNN and log to TensorBoard alone: curves, graph, weight histograms, images, an embedding."""

import argparse

import torch
from digits import DEVICE, build, evaluate, load, optimizer_for, train_epoch
from torch.utils.tensorboard import SummaryWriter


def parse() -> argparse.Namespace:
    """Read the hyperparameters from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--batch_size", type=int, default=64)
    parser.add_argument("--dropout", type=float, default=0.2)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--weight_decay", type=float, default=0.0)
    parser.add_argument("--optimizer", choices=["adam", "sgd"], default="adam")
    parser.add_argument("--epochs", type=int, default=8)
    return parser.parse_args()


def main() -> None:
    """Train, and log every epoch."""
    args = parse()
    train, valid = load()
    model = build(args.width, args.dropout)
    optimizer = optimizer_for(model, vars(args))
    writer = SummaryWriter()
    writer.add_graph(model, train.images[:1])
    # A grid of the first 32 samples, 8 to a row: [32, 1, 8, 8] -> [1, 32, 64]
    grid = valid.images[:32].reshape(4, 8, 8, 8).permute(0, 2, 1, 3).reshape(1, 32, 64)
    writer.add_image("samples", grid)
    for epoch in range(args.epochs):
        train_loss, train_accuracy = train_epoch(model, optimizer, train, args.batch_size)
        valid_loss, valid_accuracy = evaluate(model, valid)
        writer.add_scalar("train/loss", train_loss, epoch)
        writer.add_scalar("train/accuracy", train_accuracy, epoch)
        writer.add_scalar("valid/loss", valid_loss, epoch)
        writer.add_scalar("valid/accuracy", valid_accuracy, epoch)
        for name, weight in model.named_parameters():
            writer.add_histogram(name, weight, epoch)
    with torch.no_grad():
        features = model[:-1](valid.images[:100].to(DEVICE))
    writer.add_embedding(features, metadata=valid.labels[:100].tolist(), label_img=valid.images[:100])
    writer.close()
    print(f"validation accuracy {valid_accuracy:.4f}")


if __name__ == "__main__":
    main()
