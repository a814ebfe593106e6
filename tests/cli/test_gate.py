"""What a check is asked to do, by its settings and its options."""

from pathlib import Path

import pytest

from onnx_tagger.cli.gate import Asked
from onnx_tagger.errors import TaggerError
from onnx_tagger.model.gate.settings import Settings

SAID = Settings("x.toml", Path("sub"), {"files": ["*.onnx"], "baseline": "b.json"}, {"*.q.onnx": {"max-root": 5}})


@pytest.fixture(autouse=True)
def _files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    for name in ("a.onnx", "a.q.onnx"):
        (tmp_path / "sub" / name).write_text("")


def test_paths_of_the_settings_start_from_their_folder() -> None:
    asked = Asked.of(SAID, {}, None)
    assert asked.files == ["sub/a.onnx", "sub/a.q.onnx"]
    assert (asked.baseline, asked.many) == (Path("sub/b.json"), True)
    asked = Asked.of(SAID, {"baseline": "b.json"}, ["sub/a.onnx"])
    assert (asked.files, asked.baseline, asked.many) == (["sub/a.onnx"], Path("b.json"), False)


def test_terms_are_made_once_for_all_files_that_the_same_globs_fit() -> None:
    asked = Asked.without_files(SAID)
    assert asked.terms("sub/a.q.onnx").limits.max_root == 5
    assert asked.terms("sub/a.onnx") is asked.terms("sub/b.onnx")
    assert asked.terms("sub/a.onnx").limits.max_root == 0


def test_without_any_file() -> None:
    with pytest.raises(TaggerError, match="no file is named"):
        Asked.of(Settings(), {}, None)
