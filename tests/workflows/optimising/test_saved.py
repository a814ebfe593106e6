"""The work folder: what is finished is not done again, and what a kill has left behind goes."""

from __future__ import annotations

from pathlib import Path

import pytest

from onnx_tagger.errors import TaggerError
from onnx_tagger.measures.optimising.optimised import Interval, Try
from onnx_tagger.workflows.optimising.saved import WorkFolder, key_of


def made(name: str) -> Try:
    return Try(name, "s", name, "", "kept", "")


def test_a_try_is_made_once(tmp_path: Path) -> None:
    work = WorkFolder(tmp_path / "w", "key")
    assert work.do("a", lambda _: made("a")) == (made("a"), True)
    again = WorkFolder(tmp_path / "w", "key")
    assert again.do("a", lambda _: pytest.fail("done again")) == (made("a"), False)
    assert again.finals(lambda: {"a": Interval(1.5)}) == {"a": Interval(1.5)}
    assert WorkFolder(tmp_path / "w", "key").finals(lambda: pytest.fail("measured again")) == {"a": Interval(1.5)}
    with pytest.raises(TaggerError, match="is of another model"):
        WorkFolder(tmp_path / "w", "other")


def test_what_a_kill_has_left_behind(tmp_path: Path) -> None:
    work = WorkFolder(tmp_path, "key")
    for name in ("00.onnx", "00.onnx.data"):
        (tmp_path / name).write_bytes(b"half")

    def look(place: Path) -> Try:
        assert place == tmp_path / "00.onnx"
        assert not list(tmp_path.glob("00*"))
        return made("a")

    work.do("a", look)


def test_the_key_depends_on_files_and_options(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1")
    (tmp_path / "b").write_bytes(b"2")
    keys = {key_of([tmp_path / name], {"runs": runs}) for name in "ab" for runs in (1, 2)}
    assert len(keys) == 4
    assert key_of([tmp_path / "a"], {"runs": 1, "seed": 2}) == key_of([tmp_path / "a"], {"seed": 2, "runs": 1})
