"""The file that is read, copied and spliced."""

from pathlib import Path

import pytest

from examples.stored import floats, model_with


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A file of 1.6 MB: large enough for the kernel's copy."""
    path = tmp_path / "m.onnx"
    path.write_bytes(model_with(floats("w", 400_000), floats("b", 3)).SerializeToString())
    return path
