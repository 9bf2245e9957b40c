"""What metric names say: which are losses, which measure success, and which are two views of one thing."""

import re
from collections.abc import Iterable

LOSSES = frozenset(
    {"loss", "losses", "error", "err", "mse", "rmse", "mae", "nll", "ppl", "perplexity", "bpc", "xent", "ce", "logloss"}
)
SUCCESSES = frozenset(
    {"acc", "accuracy", "top1", "top5", "f1", "auc", "auroc", "precision", "recall", "r2", "iou", "miou", "map", "bleu",
     "rouge", "reward", "return"}
)  # fmt: skip
TRAIN = frozenset({"train", "training", "trn", "tr"})
VALID = frozenset({"valid", "validation", "val", "eval", "evaluation", "test", "dev", "holdout"})


def words(name: str) -> tuple[str, ...]:
    """Return the words of a metric's name in lower case: ``valTop1/Loss`` is val, top1, loss."""
    return tuple(re.findall(r"[a-z]+\d*|\d+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).lower()))


def sign_of(name: str) -> float | None:
    """Return 1 for a metric that should go down, -1 for one that should go up, None when its name does not say."""
    said = set(words(name))
    if said & LOSSES:
        return 1.0
    return -1.0 if said & SUCCESSES else None


def pairs(names: Iterable[str]) -> list[tuple[str, str]]:
    """Return (train, valid) names of one metric: the same words but for train and valid, or ``loss`` and ``val_loss``."""
    by_rest: dict[tuple[str, ...], dict[str, str]] = {}
    for name in names:
        said = words(name)
        side = "valid" if VALID & set(said) else "train" if TRAIN & set(said) else "bare"
        rest = tuple(word for word in said if word not in VALID | TRAIN)
        by_rest.setdefault(rest, {}).setdefault(side, name)
    found = [(sides.get("train") or sides.get("bare"), sides.get("valid")) for sides in by_rest.values()]
    return sorted((train, valid) for train, valid in found if train is not None and valid is not None)
