"""The command strip."""

from pathlib import Path

from examples.tiny import Run


def test_strip_gives_the_untagged_file_back(run: Run, files: Path) -> None:
    assert run("strip", "tagged.onnx", "-o", "bare.onnx") == (0, "bare.onnx: 5 nodes stripped\n", "")
    assert (files / "bare.onnx").read_bytes() == (files / "plain.onnx").read_bytes()
    assert run("strip", "tagged.onnx", "--in-place")[0] == 0
    assert (files / "tagged.onnx").read_bytes() == (files / "plain.onnx").read_bytes()
