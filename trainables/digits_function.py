"""W&B's three steps (a config, a function, an agent) on the digits CNN: the only change is where sweep and agent come from."""

import wandb
from digits import build, evaluate, load, optimizer_for, train_epoch

from orchestrator import agent, sweep

SWEEP = {
    "method": "random",
    "metric": {"name": "valid_accuracy", "goal": "maximize"},
    "parameters": {
        "lr": {"min": 0.0001, "max": 0.01},
        "dropout": {"values": [0.0, 0.2, 0.4]},
        "batch_size": {"values": [16, 32, 64]},
    },
}


def run_sweep() -> None:
    """One trial: its hyperparameters come from `wandb.config`, its results go to `run.log`."""
    run = wandb.init()
    config = wandb.config
    train, valid = load()
    model = build(width=8, dropout=config.dropout)
    optimizer = optimizer_for(model, {"lr": config.lr})
    for _ in range(2):
        train_loss, _ = train_epoch(model, optimizer, train, config.batch_size)
        valid_loss, valid_accuracy = evaluate(model, valid)
        run.log({"train_loss": train_loss, "valid_loss": valid_loss, "valid_accuracy": valid_accuracy})


if __name__ == "__main__":
    agent(sweep(SWEEP, project="digits"), function=run_sweep, count=4)
