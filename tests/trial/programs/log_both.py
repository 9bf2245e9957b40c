import wandb
from model import epochs
from torch.utils.tensorboard import SummaryWriter

with wandb.init() as run, SummaryWriter("runs/mine") as writer:
    for step, metrics in epochs(run.config["lr"]):
        run.log({**metrics, "only_wandb": step})
        for name, value in metrics.items():
            writer.add_scalar(name, value, step)
        writer.add_scalar("only_tensorboard", step, step)
