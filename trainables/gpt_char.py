"""Train a small GPT to continue Python source, character by character: the text is the standard library's own source."""

import math
import os
from pathlib import Path

import torch
import wandb
from torch import nn
from torch.nn import functional

DEFAULTS = {
    "lr": 3e-3,
    "layers": 2,
    "heads": 4,
    "width": 64,
    "dropout": 0.0,
    "context": 64,
    "batch_size": 16,
    "epochs": 27,
    "steps": 30,  # per epoch
    "mixed_precision": True,  # where there is a GPU
    "compile": False,
}
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
N_CHARACTERS = 128
N_BYTES = 1_000_000


def load() -> tuple[torch.Tensor, torch.Tensor]:
    """Return a million characters as ASCII codes, cut into training (90 %) and validation text."""
    files = sorted(Path(os.__file__).parent.glob("*.py"))
    text = b"\n".join(path.read_bytes() for path in files)[:N_BYTES]
    codes = torch.frombuffer(bytearray(text), dtype=torch.uint8).long().clamp(max=N_CHARACTERS - 1)
    cut = len(codes) * 9 // 10
    return codes[:cut].to(DEVICE), codes[cut:].to(DEVICE)


class Block(nn.Module):
    """One transformer layer, normalised before each part: [n, t, width] -> [n, t, width]."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.before_attention, self.before_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Attend to what came before, then think about it."""
        n, t, width = x.shape
        q, k, v = (
            self.qkv(self.before_attention(x)).view(n, t, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        )
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.dropout(self.out(mixed.transpose(1, 2).reshape(n, t, width)))
        return x + self.dropout(self.mlp(self.before_mlp(x)))


class GPT(nn.Module):
    """Characters [n, t] -> logits of the next character [n, t, 128]."""

    def __init__(self, *, width: int, layers: int, heads: int, context: int, dropout: float) -> None:
        super().__init__()
        self.characters, self.positions = nn.Embedding(N_CHARACTERS, width), nn.Embedding(context, width)
        self.blocks = nn.Sequential(*[Block(width, heads, dropout) for _ in range(layers)])
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, N_CHARACTERS))

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        """Predict the next character at every position."""
        places = torch.arange(codes.shape[1], device=codes.device)
        return self.head(self.blocks(self.characters(codes) + self.positions(places)))


def batch(text: torch.Tensor, size: int, context: int, generator: torch.Generator | None = None) -> torch.Tensor:
    """Return `size` random pieces of text, each one character longer than the context."""
    starts = torch.randint(len(text) - context - 1, (size,), generator=generator)
    return torch.stack([text[start : start + context + 1] for start in starts.tolist()])


def loss_of(model: nn.Module, pieces: torch.Tensor, *, mixed: bool) -> torch.Tensor:
    """Return the mean cross entropy per character, in nats."""
    with torch.autocast(DEVICE, dtype=torch.bfloat16, enabled=mixed):
        logits = model(pieces[:, :-1])
    return functional.cross_entropy(logits.float().flatten(0, 1), pieces[:, 1:].flatten())


def main() -> None:
    """Train, and log the losses every epoch."""
    run = wandb.init(project="gpt", config=DEFAULTS)
    c = run.config
    train, valid = load()
    model = GPT(width=c.width, layers=c.layers, heads=c.heads, context=c.context, dropout=c.dropout).to(DEVICE)
    forward = torch.compile(model) if c.compile else model
    optimizer = torch.optim.AdamW(model.parameters(), lr=c.lr)
    mixed = c.mixed_precision and DEVICE == "cuda"
    probe = batch(valid, 64, c.context, torch.Generator().manual_seed(0))
    for epoch in range(1, c.epochs + 1):
        model.train()
        total = 0.0
        for _ in range(c.steps):
            loss = loss_of(forward, batch(train, c.batch_size, c.context), mixed=mixed)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            total += loss.item()
        model.eval()
        with torch.no_grad():
            valid_loss = loss_of(forward, probe, mixed=mixed).item()
        run.log({"epoch": epoch, "train/loss": total / c.steps, "valid/loss": valid_loss})
        print(f"epoch {epoch}: {valid_loss / math.log(2):.3f} bits per character")
    run.finish()


if __name__ == "__main__":
    main()
