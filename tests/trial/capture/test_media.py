"""What a program logs to W&B besides numbers, read back with TensorBoard's own reader and plugins."""

import io
import time
import wave

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from orchestrator.trial.capture.media import MOST_ROWS, converter_of
from orchestrator.trial.capture.media_mirror import MediaMirror
from orchestrator.trial.contract.events import Cause
from tests.trial.conftest import a_wandb_run

PRELOAD = ("torch", "torch.utils.tensorboard", "PIL.Image", "wandb")

LOGS = """
import io, os, wave
import numpy as np, torch, wandb
from PIL import Image
run = wandb.init()
picture = Image.fromarray(np.full((4, 6, 3), 200, dtype=np.uint8))
gif = io.BytesIO()
picture.save(gif, "GIF", save_all=True, append_images=[picture])
open("clip.gif", "wb").write(gif.getvalue())
with wave.open("beep.wav", "wb") as sound:
    sound.setnchannels(1); sound.setsampwidth(2); sound.setframerate(8000); sound.writeframes(b"\\0\\1" * 80)
table = wandb.Table(columns=["a", "b|c"], data=[[1, "x\\ny"], [2.5, "z"]])
big = wandb.Table(columns=["n"], data=[[n] for n in range(500)])
weights = np.arange(1000.0)
row = {
    "loss": 0.5,
    "image": wandb.Image(picture, caption="grey"),
    "images": [wandb.Image(picture), wandb.Image(np.zeros((3, 5)))],
    "jpg": wandb.Image(picture, file_type="jpg"),
    "hist": wandb.Histogram([1.0, 2.0, 2.0, 3.0]),
    "deep": {"hist": wandb.Histogram(np_histogram=np.histogram([0, 1, 2, 3], bins=2))},
    "array": weights,
    "tensor": torch.arange(100.0, requires_grad=True),
    "short": np.arange(3.0),
    "table": table,
    "big": big,
    "html": wandb.Html("<b>bold</b>"),
    "note": "a remark",
    "line": wandb.plot.line(table, "a", "b|c", title="t"),
    "confusion": wandb.plot.confusion_matrix(y_true=[0, 1], preds=[0, 1], class_names=["cat", "dog"]),
    "audio": wandb.Audio("beep.wav"),
    "video": wandb.Video("clip.gif"),
    "points": wandb.Object3D(np.zeros((5, 3))),
    "numbers": [1, 2, 3],
    "nothing": None,
}
before = list(row)
run.log(row)
assert list(row) == before and weights.sum() == 499500.0
run.log({"image": wandb.Image(picture), "note": "a remark", "hist": wandb.Histogram([5.0])}, step=7)
run.log({"image": wandb.Image(picture)}, step=3)
other = wandb.init(reinit="create_new", id="another")
print("KEYS", sorted(k for k in run.summary.keys() if not k.startswith("_")))
"""


def read(trial):
    """All that TensorBoard has of a trial."""
    found = EventAccumulator(
        str(trial.dir), size_guidance=dict.fromkeys(("images", "histograms", "audio", "tensors", "scalars"), 0)
    )
    return found.Reload()


def texts(found, tag):
    return [event.tensor_proto.string_val[0].decode() for event in found.Tensors(tag)]


@pytest.fixture(scope="module", params=["offline", "off"])
def logged(shared, request):
    run = a_wandb_run(0) if request.param == "offline" else None
    number = 0 if request.param == "offline" else 1
    trial = shared.run(shared.script(LOGS), wandb=run, trial=number)
    assert trial.ended().cause is Cause.FINISHED, trial.log
    assert "not everything is captured" not in trial.log
    return trial, read(trial)


def test_pictures_are_images(logged):
    """Images, each of a list, and GIFs, at the step of their row; a row that W&B drops is not there."""
    _, found = logged
    tags = {"image", "images/0", "images/1", "jpg", "video"}
    assert set(found.Tags()["images"]) == tags
    steps = [event.step for event in found.Images("image")]
    assert (steps[0], found.Images("image")[0].width, found.Images("image")[0].height) == (0, 6, 4)
    assert steps in ([0, 7], [0, 7, 3])  # a run that is switched off drops nothing
    assert (found.Images("images/1")[0].width, found.Images("images/1")[0].height) == (5, 3)
    assert found.Images("image")[0].encoded_image_string.startswith(b"\x89PNG")
    assert found.Images("jpg")[0].encoded_image_string.startswith(b"\xff\xd8")
    assert found.Images("video")[0].encoded_image_string.startswith(b"GIF")


def test_distributions_are_histograms(logged):
    """Histograms as they were made; arrays and tensors as W&B makes them of arrays; short ones are none."""
    _, found = logged
    assert set(found.Tags()["histograms"]) == {"hist", "deep.hist", "array", "tensor"}
    first = found.Histograms("hist")[0].histogram_value
    assert (first.min, first.max, first.num, sum(first.bucket)) == (1.0, 3.0, 4.0, 4.0)
    deep = found.Histograms("deep.hist")[0].histogram_value
    assert (list(deep.bucket_limit), list(deep.bucket)) == ([0.0, 1.5, 3.0], [0.0, 2.0, 2.0])
    array = found.Histograms("array")[0].histogram_value
    assert (array.min, array.max, array.num) == (0.0, 999.0, 1000.0)
    assert [event.step for event in found.Histograms("hist")] == [0, 7]


def test_tables_plots_html_and_text_are_texts(logged):
    """As Markdown that TensorBoard's text plugin shows; a long table says what is left out; a text that stays is said once."""
    _, found = logged
    named = {tag for tag in found.Tags()["tensors"] if "hparams" not in tag}
    assert named == {"table", "big", "html", "note", "line", "confusion"}
    assert {found.SummaryMetadata(tag).plugin_data.plugin_name for tag in named} == {"text"}
    assert texts(found, "table") == ["| a | b\\|c |\n| --- | --- |\n| 1 | x y |\n| 2.5 | z |"]
    assert texts(found, "big")[0].endswith(f"Not shown here: {500 - MOST_ROWS} more rows.")
    assert texts(found, "html") == ["<b>bold</b>"] or "<b>bold</b>" in texts(found, "html")[0]
    assert texts(found, "note") == ["a remark"]
    assert "| cat | dog |" in texts(found, "confusion")[0]
    assert texts(found, "line") == texts(found, "table")


def test_sounds_are_audio(logged):
    """WAV files are there to be heard."""
    _, found = logged
    (event,) = found.Audio("audio")
    assert (event.sample_rate, event.content_type) == (8000.0, "audio/wav")
    with wave.open(io.BytesIO(event.encoded_audio_string)) as sound:
        assert sound.getnframes() == 80


def test_numbers_are_as_without_media(logged):
    """The row's metrics are reported and mirrored all the same."""
    trial, found = logged
    assert trial.series("loss") == [0.5]
    assert [event.value for event in found.Scalars("loss")] == [0.5]


BOTH = """
import numpy as np, wandb
from torch.utils.tensorboard import SummaryWriter
run = wandb.init()
writer = SummaryWriter()
values = np.arange(100.0)
for step in range(3):
    writer.add_histogram("weights", values, step)
    run.log({"weights": wandb.Histogram(values.tolist()), "mine": wandb.Histogram(values.tolist())}, step=step)
writer.close()
"""


def test_what_a_program_writes_itself_is_not_mirrored(shared):
    """A tag that has the program's own histograms has them alone; another is mirrored."""
    trial = shared.run(shared.script(BOTH), wandb=a_wandb_run(2), trial=2)
    assert trial.ended().cause is Cause.FINISHED, trial.log
    found = read(trial)
    assert [event.step for event in found.Histograms("weights")] == [0, 1, 2]
    assert [event.step for event in found.Histograms("mine")] == [0, 1, 2]


def test_a_row_of_numbers_costs_next_to_nothing():
    """Rows without media are told by the types of their values: far below the 100 us that capture may cost."""
    mirror = MediaMirror(lambda *_: None, lambda *_: None, lambda _: True)
    row = {f"metric{n}": float(n) for n in range(10)}
    began = time.perf_counter()
    for _ in range(10_000):
        assert mirror._media_of(row) == []
    assert (time.perf_counter() - began) / 10_000 < 50e-6


def test_other_things_are_no_media():
    """Numbers, bytes, generators and a class of the program's own are nothing to show, and are not touched."""
    written = []
    mirror = MediaMirror(lambda action, *args: action(*args), lambda *row: written.append(row), lambda _: True)
    generator = iter([1, 2, 3])
    mirror._mirror(None, mirror._media_of({"g": generator, "n": {"deep": {"text": "t"}}}), 3, 0)
    assert list(generator) == [1, 2, 3]
    assert [(step, [value.tag for value in values]) for values, step in written] == [(3, ["n.deep.text"])]
    assert [converter_of(kind) for kind in (float, bytes, dict, object, type("Image", (), {}))] == [None] * 5
