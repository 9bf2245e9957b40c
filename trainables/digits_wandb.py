"""Train the digits CNN and log to W&B alone, the way W&B's own guides do it."""

import wandb
from digits import build, evaluate, load, optimizer_for, train_epoch
from torch import nn

DEFAULTS = {
    "lr": 1e-3,
    "batch_size": 64,
    "weight_decay": 0.0,
    "optimizer": "adam",
    "epochs": 8,
    "model": {"width": 16, "dropout": 0.2},
}


def main() -> None:
    """Train, and log every epoch."""
    run = wandb.init(project="digits", name="digits-cnn", config=DEFAULTS)
    config = wandb.config
    train, valid = load()
    model = build(**config.model)
    criterion = nn.CrossEntropyLoss()
    optimizer = optimizer_for(model, dict(config))
    run.watch(model, criterion, log="all", log_freq=10, log_graph=True)
    for epoch in range(config.epochs):
        train_loss, train_accuracy = train_epoch(model, optimizer, train, config.batch_size)
        valid_loss, valid_accuracy = evaluate(model, valid)
        metrics = {
            "train_loss": train_loss,
            "train_accuracy": train_accuracy,
            "valid_loss": valid_loss,
            "valid_accuracy": valid_accuracy,
        }
        if epoch == config.epochs - 1:
            guesses = model(valid.images[:8]).argmax(1)
            metrics["samples"] = [
                wandb.Image(image.cpu(), caption=f"{label}, guessed {guess}")
                for image, label, guess in zip(valid.images[:8], valid.labels[:8], guesses, strict=True)
            ]
        run.log(metrics, step=epoch)
    run.finish()
    print(f"validation accuracy {valid_accuracy:.4f}")


if __name__ == "__main__":
    main()
