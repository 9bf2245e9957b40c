"""What TensorBoard series are called: plain names where there is one writer, directories where there are several."""

import os

import pytest

from orchestrator.trial.contract.series import Series, Split


def named(series, *places):
    return [series.name(*place) for place in places]


def test_a_tag_of_one_writer_keeps_its_name(tmp_path):
    """Wherever the writer is, and whoever else writes other tags."""
    series = Series(str(tmp_path))
    places = [
        (str(tmp_path / "runs/x"), "loss"),
        (str(tmp_path / "valid"), "acc"),
        (str(tmp_path), "lr"),
        ("/data", "odd"),
    ]
    assert named(series, *places, *places) == [("loss", None), ("acc", None), ("lr", None), ("odd", None)] * 2
    assert series.names_in(str(tmp_path / "valid")) == ["acc"]
    assert (series.is_root(str(tmp_path)), series.is_root("/data")) == (True, False)
    assert (series.is_inside(str(tmp_path / "a")), series.is_inside(str(tmp_path)), series.is_inside("/data")) == (
        True,
        True,
        False,
    )


def test_two_writers_are_told_apart_by_what_their_directories_do_not_share(tmp_path):
    """The first one's series gets another name as the second appears; a third is named in the same way."""
    series = Series(str(tmp_path))
    train, valid, test = (str(tmp_path / "logs" / name) for name in ("train", "valid", "test"))
    assert series.name(train, "loss") == ("loss", None)
    split = Split(tag="loss", first="train/loss", names=("train/loss", "valid/loss"))
    assert series.name(valid, "loss") == ("valid/loss", split)
    assert named(series, (train, "loss"), (valid, "loss")) == [("train/loss", None), ("valid/loss", None)]
    assert series.name(test, "loss") == ("test/loss", None)
    assert series.name(train, "acc") == ("acc", None)


def test_the_trials_own_run_has_the_plain_name(tmp_path):
    """TensorBoard shows it without a directory, also where it appears last; the others have theirs."""
    root, valid = str(tmp_path), str(tmp_path / "logs" / "valid")
    series = Series(root)
    assert named(series, (root, "loss"), (valid, "loss")) == [("loss", None), ("logs/valid/loss", None)]
    series = Series(root)
    assert series.name(valid, "loss") == ("loss", None)
    assert series.name(root, "loss")[1] == Split(
        tag="loss", first="logs/valid/loss", names=("logs/valid/loss", "loss"), taken=True
    )


@pytest.mark.parametrize(
    ("one", "other", "names"),
    [
        ("logs", "logs/valid", ["loss", "valid/loss"]),
        ("a/x", "b/x", ["a/x/loss", "b/x/loss"]),
        ("train", "/data/valid", ["train/loss", "data/valid/loss"]),
        ("train1", "train2", ["train1/loss", "train2/loss"]),
    ],
)
def test_directories_of_every_kind(tmp_path, one, other, names):
    """One below the other, equal ends, another file system, a common beginning."""
    series = Series(str(tmp_path))
    places = [(str(tmp_path / one), "loss"), (str(tmp_path / other), "loss")]
    named(series, *places)
    assert [name for name, _ in named(series, *places)] == names


@pytest.mark.parametrize("first", ["train", "valid"])
def test_the_metric_may_name_a_series_by_the_end_of_its_path(tmp_path, first):
    """As W&B's `sync_tensorboard` calls it, whichever writer comes first, and also where only one has the tag."""
    series = Series(str(tmp_path), "valid/loss")
    order = [first, *({"train", "valid"} - {first})]
    assert (
        named(series, *((str(tmp_path / "logs" / each), "loss") for each in order))[order.index("valid")][0]
        == "valid/loss"
    )
    alone = Series(str(tmp_path), "valid/loss")
    assert named(alone, *((str(tmp_path / each / "valid"), "loss") for each in "ab"))[0] == ("valid/loss", None)
    assert alone.name(str(tmp_path / "b" / "valid"), "loss")[0] == "b/valid/loss"
    taken = Series(str(tmp_path), "valid/loss")
    assert named(taken, (str(tmp_path), "valid/loss"), (str(tmp_path / "logs" / "valid"), "loss"))[1] == ("loss", None)


@pytest.mark.parametrize("is_first", [True, False])
def test_what_another_process_calls_as_the_metric_does_tells_the_others_apart(is_first):
    """Whichever of the two is heard of first; in the trial's own directory the plain name stays."""
    series = Series(os.sep)
    found = [
        None if is_first else series.name_at("runs/fold0", "loss"),
        series.called("runs/fold1", "loss", "fold1/loss"),
    ]
    assert series.name_at("runs/fold0", "loss") == ("fold0/loss", None)
    assert found[1] == (None if is_first else Split("loss", "fold0/loss", ("fold0/loss", "fold1/loss")))
    assert series.name_at(os.curdir, "loss") == ("loss", None)
    assert series.called("runs/fold2", "loss", "fold2/loss") is None


def test_a_metric_that_is_the_end_of_several_paths_is_none_of_them(tmp_path):
    """Folds that each have a writer of validation: which one is meant cannot be told, and each has its whole path."""
    series = Series(str(tmp_path), "valid/loss")
    first, second, third = named(series, *((str(tmp_path / each / "valid"), "loss") for each in "abc"))
    assert first == ("valid/loss", None)
    both = ("a/valid/loss", "b/valid/loss")
    assert second == (both[1], Split(tag="valid/loss", first=both[0], names=both))
    assert third[0] == "c/valid/loss"


def test_the_metric_may_name_a_series_by_its_whole_path(tmp_path):
    """As TensorBoard shows it on the trial's directory."""
    series = Series(str(tmp_path), "logs/valid/loss")
    assert series.name(str(tmp_path / "logs" / "valid"), "loss") == ("logs/valid/loss", None)
    assert named(series, (str(tmp_path / "logs" / "train"), "acc")) == [("acc", None)]
    assert series.name(str(tmp_path / "logs" / "train"), "loss") == ("train/loss", None)
    series = Series(str(tmp_path), "logs/valid/loss")
    assert series.name(str(tmp_path / "logs" / "train"), "loss") == ("loss", None)
    name, split = series.name(str(tmp_path / "logs" / "valid"), "loss")
    assert (name, split.first, split.names) == ("logs/valid/loss", "train/loss", ("train/loss", "logs/valid/loss"))
