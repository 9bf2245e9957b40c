import pytest

from orchestrator.diagnosis.names import pairs, sign_of, words


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("valid/loss", ("valid", "loss")),
        ("valLoss", ("val", "loss")),
        ("eval.top1_accuracy", ("eval", "top1", "accuracy")),
        ("Train Loss", ("train", "loss")),
    ],
)
def test_names_are_split_as_people_write_them(name, expected):
    """Slashes, dots, underscores, spaces and capitals separate words."""
    assert words(name) == expected


@pytest.mark.parametrize(("name", "sign"), [("val_loss", 1.0), ("f1", -1.0), ("lossless", None), ("lr", None)])
def test_a_name_says_which_way_is_better_or_nothing(name, sign):
    """Only whole words count."""
    assert sign_of(name) == sign


def test_train_and_valid_names_of_one_metric_are_paired():
    """With both sides named, or the training side bare; what stands alone stays alone."""
    names = ["train/loss", "valid/loss", "acc", "val_acc", "lr", "test.bleu"]
    assert pairs(names) == [("acc", "val_acc"), ("train/loss", "valid/loss")]
