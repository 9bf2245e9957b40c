import io

from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.summary.writer.record_writer import RecordWriter

from orchestrator.trial.formats.records import AlikeRecords, RecordTail, record, records

PAYLOADS = [b"", b"a", *(bytes(range(n)) for n in range(14, 22)), bytes(range(256)) * 50]


def test_records_are_those_of_tensorboard(tmp_path):
    """Byte for byte as its writer makes them, and its reader takes them."""
    theirs = io.BytesIO()
    writer = RecordWriter(theirs)
    for payload in PAYLOADS:
        writer.write(payload)
    ours = b"".join(map(record, PAYLOADS))
    assert ours == theirs.getvalue()
    path = tmp_path / "events.out.tfevents.1"
    path.write_bytes(ours)
    assert list(records(path)) == list(RawEventFileLoader(str(path)).Load()) == PAYLOADS


def test_a_file_that_is_cut_or_damaged_ends_there(tmp_path):
    """What is whole before that is read; a flipped bit is no record."""
    whole = b"".join(map(record, PAYLOADS))
    path = tmp_path / "events.out.tfevents.1"
    path.write_bytes(whole[:-1])
    assert list(records(path)) == PAYLOADS[:-1]
    path.write_bytes(whole[:30] + bytes([whole[30] ^ 1]) + whole[31:])
    assert list(records(path)) == PAYLOADS[:1]


def test_a_file_that_grows_is_read_once(tmp_path):
    """Cut anywhere, no record is lost, doubled or read half."""
    whole = b"".join(map(record, PAYLOADS))
    path = tmp_path / "events.out.tfevents.1"
    path.touch()
    tail, found = RecordTail(path), []
    for end in (*range(0, len(whole), 997), len(whole)):
        path.write_bytes(whole[:end])
        found += tail.read()
    assert found == PAYLOADS


def test_alike_records_are_records():
    """Whatever the bytes are that change, and wherever they stand."""
    example = bytes(range(40))
    alike = AlikeRecords(example, [0, 3, 17, 18, 39])
    for byte in (0, 1, 128, 255):
        payload = bytearray(example)
        for place in (0, 3, 17, 18, 39):
            payload[place] = byte ^ place
        assert alike.record(bytes(payload)) == record(bytes(payload))
