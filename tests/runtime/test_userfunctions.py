"""Functions named on the command line."""

from pathlib import Path

import pytest

from onnx_tagger.errors import TaggerError
from onnx_tagger.runtime.userfunctions import user_function


def test_a_function_of_a_file_may_import_its_neighbours(tmp_path: Path) -> None:
    (tmp_path / "neighbour_of_mine.py").write_text("SEVEN = 7\n")
    (tmp_path / "mine.py").write_text("from neighbour_of_mine import SEVEN\ndef seven():\n    return SEVEN\n")
    assert user_function(f"{tmp_path}/mine.py:seven", "metric")() == 7


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("accuracy", "def acuracy(): ...", "did you mean 'acuracy'"),
        ("accuracy", "accuracy = 3", "has no function 'accuracy'"),
        ("accuracy", "1 / 0", "ZeroDivisionError"),
        ("accuracy", "def (", "SyntaxError"),
        ("", "", "names no metric"),
    ],
)
def test_what_cannot_be_called_is_a_sentence(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / "mine.py").write_text(text)
    with pytest.raises(TaggerError, match=said):
        user_function(f"{tmp_path}/mine.py:{name}", "metric")


@pytest.mark.parametrize("named", ["no_such_file.py:f", "no_such_package_here:f", "f"])
def test_what_is_not_there_is_a_sentence(named: str) -> None:
    with pytest.raises(TaggerError, match=named):
        user_function(named, "metric")
