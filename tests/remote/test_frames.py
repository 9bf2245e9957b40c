"""Bytes through a log that others write into, too."""

import zlib
from base64 import b64encode

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.remote.frames import MOST, Decoder, Ended, Said, encode

FRAMES = st.lists(
    st.builds(Said, st.sampled_from([1, 2]), st.binary(max_size=200)) | st.builds(Ended, st.integers(0, 255)),
    max_size=8,
)


@given(frames=FRAMES, noise=st.lists(st.text(max_size=30), max_size=8), size=st.integers(1, 50))
def test_what_went_in_comes_out(frames, noise, size):
    """In order, whatever lines stand between, in whatever pieces it comes."""
    lines = [encode(frame) for frame in frames]
    for n, words in enumerate(noise):
        lines.insert(2 * n, words.replace("\n", " ") + "\n")
    text, decoder = "".join(lines), Decoder()
    found = [frame for at in range(0, len(text), size) for frame in decoder.feed(text[at : at + size])]
    assert found == frames


def test_what_is_no_frame_does_no_harm():
    """Broken base64, broken compression, and little that would become much."""
    bomb = b64encode(zlib.compress(b"x" * (100 * MOST))).decode()
    decoder = Decoder()
    assert decoder.feed(f"sweep>1 ????\nsweep>1 AAAA\nsweep>x --\nsweep>1 {bomb}\n") == [Said(1, b"x" * (2 * MOST))]
    assert decoder.others == ["sweep>1 ????"]
