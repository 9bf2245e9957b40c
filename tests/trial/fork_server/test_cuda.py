"""Whether CUDA runs in a process is seen from outside of it."""

import pytest

from orchestrator.trial.fork_server.cuda import has_cuda


@pytest.mark.parametrize(
    ("device", "expected"), [("/dev/nvidia-uvm", True), ("/dev/nvidiactl", False), ("/dev/null", False)]
)
def test_cuda_is_known_by_the_memory_device_that_it_has_open(tmp_path, device, expected):
    """Reading NVML opens the control device alone."""
    (tmp_path / "3").symlink_to(device)
    (tmp_path / "4").symlink_to("/dev/null")
    (tmp_path / "5").write_text("closed meanwhile")
    assert has_cuda(str(tmp_path)) == expected
    assert not has_cuda()
