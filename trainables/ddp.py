"""Train on the digits with several processes: `torchrun --nproc_per_node 2 ddp.py`. Rank 0 alone logs."""

import argparse

import torch
import wandb
from sklearn.datasets import load_digits
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset


def parse() -> argparse.Namespace:
    """Read the hyperparameters from the command line: every rank gets them there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--hidden", type=int, default=64)
    parser.add_argument("--batch_size", type=int, default=32, help="per process")
    parser.add_argument("--epochs", type=int, default=5)
    return parser.parse_args()


def main() -> None:
    """Train one model on as many processes as torchrun started."""
    args = parse()
    on_gpu = torch.cuda.is_available()
    distributed.init_process_group("nccl" if on_gpu else "gloo")
    rank, n_ranks = distributed.get_rank(), distributed.get_world_size()
    device = torch.device("cuda", rank % torch.cuda.device_count()) if on_gpu else torch.device("cpu")
    images, labels = load_digits(return_X_y=True)
    data = TensorDataset(torch.tensor(images / 16, dtype=torch.float32), torch.tensor(labels))
    train, valid = torch.utils.data.random_split(data, [0.8, 0.2], torch.Generator().manual_seed(0))
    sampler = DistributedSampler(train)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, args.hidden), nn.ReLU(), nn.Linear(args.hidden, 10)).to(device)
    model = DistributedDataParallel(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr)
    run = wandb.init(project="ddp", config={**vars(args), "processes": n_ranks}) if rank == 0 else None
    for epoch in range(args.epochs):
        sampler.set_epoch(epoch)
        for inputs, targets in DataLoader(train, args.batch_size, sampler=sampler):
            loss = nn.functional.cross_entropy(model(inputs.to(device)), targets.to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        inputs, targets = valid[:]
        with torch.no_grad():
            correct = (model(inputs.to(device)).argmax(1).cpu() == targets).float().mean()
        distributed.all_reduce(loss := loss.detach())
        if run is not None:
            run.log({"train/loss": loss.item() / n_ranks, "valid/accuracy": correct.item()}, step=epoch)
    if run is not None:
        run.finish()
        print(f"validation accuracy {correct:.4f} with {n_ranks} processes over {distributed.get_backend()}")
    distributed.destroy_process_group()


if __name__ == "__main__":
    main()
