"""Braces in patterns."""

import pytest

from onnx_tagger.errors import TaggerError
from onnx_tagger.hierarchy.braces import expanded, split_outside


@pytest.mark.parametrize(
    ("pattern", "wanted"),
    [
        ("a", ["a"]),
        ("l.{2..0}", ["l.2", "l.1", "l.0"]),
        ("{a,b}.{0..1}", ["a.0", "a.1", "b.0", "b.1"]),
        ("{a,{b,c}}", ["a", "b", "c"]),
        ("{a,a}", ["a"]),
        ("", [""]),
    ],
)
def test_a_text_with_braces_is_several_patterns(pattern: str, wanted: list[str]) -> None:
    assert expanded(pattern) == wanted


@pytest.mark.parametrize("pattern", ["a{b", "a}b", "}{", "{0..1}{"])
def test_a_brace_without_its_partner_is_an_error(pattern: str) -> None:
    with pytest.raises(TaggerError, match="without its partner"):
        expanded(pattern)


@pytest.mark.parametrize("pattern", ["{0..99999999999}", "{0..99}" * 3])
def test_too_many_patterns_are_refused_before_they_are_made(pattern: str) -> None:
    with pytest.raises(TaggerError, match="more than"):
        expanded(pattern)


def test_marks_within_braces_part_nothing() -> None:
    assert split_outside("a{x|y}|b", "|") == ["a{x|y}", "b"]
