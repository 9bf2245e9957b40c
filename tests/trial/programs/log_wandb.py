import wandb
from model import epochs

wandb.init()
for _, metrics in epochs(wandb.config.lr):
    wandb.log(metrics)
