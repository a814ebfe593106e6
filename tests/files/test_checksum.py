"""Digests alike by either way, and the memory that the lighter one saves."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import pytest

from onnx_tagger.files import checksum


@pytest.mark.parametrize("size", [0, 1, 1000, (1 << 20) + 1])
@pytest.mark.parametrize("without", [False, True])
def test_both_ways_give_the_same(size: int, without: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if without:
        monkeypatch.setattr(checksum, "_lean", lambda: None)
    data = b"a" * size
    assert checksum.sha256(data) == hashlib.sha256(data).hexdigest()


@pytest.mark.skipif(checksum._lean() is None, reason="this Python has no module of its own")
def test_a_splice_loads_no_openssl() -> None:
    modules = "sys, onnx_tagger.files.onnxfile, onnx_tagger.files.checksum as c"
    code = f"import {modules}; c.sha256(b''); print('_hashlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
