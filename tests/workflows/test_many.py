"""The same work on many files."""

from pathlib import Path

import pytest

from onnx_tagger.errors import TaggerError
from onnx_tagger.workflows.checking import stats
from onnx_tagger.workflows.many import over_files, targets_in


@pytest.mark.usefixtures("nets")
def test_one_that_cannot_be_read_is_not_the_end() -> None:
    found = list(over_files(["gone.onnx", "plain.onnx"], stats))
    assert found[0].error.startswith("gone.onnx cannot be opened")
    assert (found[0].report, found[1].error, found[1].target) == (None, "", None)
    assert found[1].report is not None
    assert found[1].report.nodes == 1


def test_targets() -> None:
    found = targets_in(Path("out"), ["m/x.onnx", "m/int8/x.onnx", "https://host/y.onnx?token=1"])
    assert [path.as_posix() for path in found] == ["out/x.onnx", "out/int8/x.onnx", "out/y.onnx"]
    with pytest.raises(TaggerError, match=r"y\.onnx: would be written for https://a/y\.onnx and https://b/y\.onnx"):
        targets_in(Path("out"), ["https://a/y.onnx", "https://b/y.onnx"])
