"""Media that a program logs to W&B, as TensorBoard shows them.

Only values of known types are looked at, and after W&B's call: nothing of the program's is consumed or changed. What TensorBoard
has no place for (Molecule, Object3D, Plotly's figures, videos other than GIFs, masks, boxes, captions) is in W&B alone.
"""

from __future__ import annotations

import io
import math
import struct
import wave
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

MOST_BYTES = 16 * 2**20
"""Of one image, sound or video; a larger one is in W&B alone."""

MOST_IMAGES = 16
"""Of one list."""

MOST_TEXT = 20_000
MOST_ROWS, MOST_COLUMNS, MOST_CELL = 100, 20, 100
"""Of a table: more cannot be read as text."""

MOST_SAMPLES = 1_000_000
"""Values of an array that its histogram is made of."""

N_BINS = 64
FEW = 32
"""Elements of an array that W&B keeps as a list; of more it makes a histogram."""

Converter = Callable[[str, Any], Iterator[Any]]
"""Makes values of a TensorBoard summary of a tag and what was logged."""


def converter_of(kind: type) -> Converter | None:
    """Return what converts values of a type; None for those that are no media, and those without a place in TensorBoard."""
    names = (f"{base.__module__}.{base.__qualname__}" for base in kind.__mro__)
    return next((_CONVERTERS[name] for name in names if name in _CONVERTERS), None)


def _image(tag: str, image: Any) -> Iterator[Any]:
    from tensorboard.compat.proto.summary_pb2 import Summary

    data, width, height = _picture(image)
    if len(data) <= MOST_BYTES:
        picture = Summary.Image(width=width, height=height, colorspace=4, encoded_image_string=data)
        yield Summary.Value(tag=tag, image=picture)


def _picture(image: Any) -> tuple[bytes, int, int]:
    """The encoded picture of a `wandb.Image`, its width and its height."""
    path = Path(image._path) if image._path else None  # noqa: SLF001 - W&B has no public name for it
    if path is not None and path.suffix.lower() in {".png", ".jpg", ".jpeg", ".gif"} and path.exists():
        if path.stat().st_size > MOST_BYTES:
            return b" " * (MOST_BYTES + 1), 0, 0
        from PIL import Image

        with Image.open(path) as found:
            return path.read_bytes(), found.width, found.height
    return _as_png(image.image)


def _as_png(picture: Any) -> tuple[bytes, int, int]:
    buffer = io.BytesIO()
    (picture if picture.mode in {"1", "L", "LA", "P", "RGB", "RGBA"} else picture.convert("RGB")).save(buffer, "PNG")
    return buffer.getvalue(), picture.width, picture.height


def _figure(tag: str, figure: Any) -> Iterator[Any]:
    from PIL import Image
    from tensorboard.compat.proto.summary_pb2 import Summary

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    with Image.open(buffer) as found:
        size = {"width": found.width, "height": found.height}
    yield Summary.Value(tag=tag, image=Summary.Image(colorspace=4, encoded_image_string=buffer.getvalue(), **size))


def _video(tag: str, video: Any) -> Iterator[Any]:
    from tensorboard.compat.proto.summary_pb2 import Summary

    data = _content(video, ".gif")
    if data[:3] == b"GIF":
        width, height = struct.unpack("<HH", data[6:10])
        moving = Summary.Image(width=width, height=height, colorspace=3, encoded_image_string=data)
        yield Summary.Value(tag=tag, image=moving)


def _audio(tag: str, audio: Any) -> Iterator[Any]:
    from tensorboard.compat.proto.summary_pb2 import Summary

    data = _content(audio, ".wav")
    if not data:
        return
    with wave.open(io.BytesIO(data)) as sound:
        form = {
            "sample_rate": sound.getframerate(),
            "num_channels": sound.getnchannels(),
            "length_frames": sound.getnframes(),
        }
    yield Summary.Value(tag=tag, audio=Summary.Audio(encoded_audio_string=data, content_type="audio/wav", **form))


def _content(media: Any, suffix: str) -> bytes:
    """The file of a medium, if it is of a format and not too large; empty else."""
    path = Path(media._path) if getattr(media, "_path", None) else None  # noqa: SLF001 - as above
    if path is None or path.suffix.lower() != suffix or not path.exists() or path.stat().st_size > MOST_BYTES:
        return b""
    return path.read_bytes()


def _histogram(tag: str, histogram: Any) -> Iterator[Any]:
    yield _histogram_value(tag, histogram.histogram, histogram.bins)


def _array(tag: str, array: Any) -> Iterator[Any]:
    """W&B makes a histogram of an array that is not short."""
    import numpy as np

    flat = array.detach().reshape(-1) if hasattr(array, "detach") else array.reshape(-1)
    if len(flat) <= FEW:
        return
    sample = flat[:: math.ceil(len(flat) / MOST_SAMPLES)]
    values = np.asarray(sample.cpu().float() if hasattr(sample, "cpu") else sample)
    if values.dtype.kind not in "biuf":
        return
    finite = values[np.isfinite(values)].astype(float)
    if finite.size:
        yield _histogram_value(tag, *np.histogram(finite, bins=N_BINS))


def _histogram_value(tag: str, counts: Any, edges: Any) -> Any:
    from tensorboard.compat.proto.histogram_pb2 import HistogramProto
    from tensorboard.compat.proto.summary_pb2 import Summary

    edges, counts = [float(edge) for edge in edges], [float(count) for count in counts]
    middles = [(low + high) / 2 for low, high in zip(edges, edges[1:])]
    histogram = HistogramProto(
        min=edges[0],
        max=edges[-1],
        num=sum(counts),
        sum=sum(n * x for n, x in zip(counts, middles)),
        sum_squares=sum(n * x * x for n, x in zip(counts, middles)),
        bucket_limit=edges,
        bucket=[0.0, *counts],
    )
    return Summary.Value(tag=tag, histo=histogram)


def _table(tag: str, table: Any) -> Iterator[Any]:
    columns = [_cell(column) for column in table.columns[:MOST_COLUMNS]]
    lines = [f"| {' | '.join(columns)} |", f"|{' --- |' * len(columns)}"]
    lines += [f"| {' | '.join(map(_cell, row[:MOST_COLUMNS]))} |" for row in table.data[:MOST_ROWS]]
    left_out = [
        f"{len(kept) - most} more {what}"
        for kept, most, what in ((table.data, MOST_ROWS, "rows"), (table.columns, MOST_COLUMNS, "columns"))
        if len(kept) > most
    ]
    note = f"\n\nNot shown here: {' and '.join(left_out)}." if left_out else ""
    yield _text_value(tag, "\n".join(lines) + note)


def _cell(value: Any) -> str:
    name = type(value).__name__
    text = f"({name})" if type(value).__module__.partition(".")[0] in {"wandb", "numpy", "torch"} else str(value)
    try:
        text = f"{float(value):.6g}" if name.startswith(("float", "int")) else text
    except (TypeError, ValueError, OverflowError):
        text = f"({name})"
    return text[:MOST_CELL].replace("|", "\\|").replace("\n", " ")


def _chart(tag: str, chart: Any) -> Iterator[Any]:
    """A plot of W&B's is a table and a way to draw it, which only W&B knows."""
    yield from _table(tag, chart.table)


def _html(tag: str, html: Any) -> Iterator[Any]:
    yield _text_value(tag, html.html)


def _text(tag: str, text: str) -> Iterator[Any]:
    yield _text_value(tag, text)


def _text_value(tag: str, text: str) -> Any:
    from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
    from tensorboard.compat.proto.tensor_pb2 import TensorProto
    from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
    from tensorboard.compat.proto.types_pb2 import DT_STRING
    from tensorboard.plugins.text.plugin_data_pb2 import TextPluginData

    content = TextPluginData(version=0).SerializeToString()
    plugin = SummaryMetadata.PluginData(plugin_name="text", content=content)
    shape = TensorShapeProto(dim=[TensorShapeProto.Dim(size=1)])
    shown = text[:MOST_TEXT].encode(errors="replace")
    tensor = TensorProto(dtype=DT_STRING, tensor_shape=shape, string_val=[shown])
    return Summary.Value(tag=tag, metadata=SummaryMetadata(plugin_data=plugin), tensor=tensor)


def _several(tag: str, items: Sequence[Any]) -> Iterator[Any]:
    """A list of media: each under a tag of its own; a list of anything else is none."""
    for index, item in enumerate(items[:MOST_IMAGES]):
        convert = None if isinstance(item, (str, list, tuple)) else converter_of(type(item))
        if convert is None or convert is _array:
            return
        yield from convert(tag if len(items) == 1 else f"{tag}/{index}", item)


_TYPES = "wandb.sdk.data_types"
_CONVERTERS: Mapping[str, Converter] = {
    f"{_TYPES}.image.Image": _image,
    f"{_TYPES}.histogram.Histogram": _histogram,
    f"{_TYPES}.table.Table": _table,
    f"{_TYPES}.html.Html": _html,
    f"{_TYPES}.audio.Audio": _audio,
    f"{_TYPES}.video.Video": _video,
    "wandb.plot.custom_chart.CustomChart": _chart,
    "matplotlib.figure.Figure": _figure,
    "numpy.ndarray": _array,
    "torch.Tensor": _array,
    "builtins.list": _several,
    "builtins.tuple": _several,
    "builtins.str": _text,
}
