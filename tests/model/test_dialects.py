"""Lists that torch writes as Python literals: the quick way to take them apart and Python's own agree."""

from __future__ import annotations

import ast

from hypothesis import example, given
from hypothesis import strategies as st

from onnx_tagger.model.literals import literal_list

pieces = st.sampled_from(["'", '"', ", ", ",", " ", "[", "]", "\\", "\n", "\0", "a", "b.0", "', '", "u'", "é", "#"])


def by_python(text: str) -> list[str] | None:
    try:
        found = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return None
    return found if isinstance(found, list) and all(isinstance(item, str) for item in found) else None


@given(st.lists(st.text(max_size=8), max_size=4))
@example(["", "model", "model.layers.0", "linear_3"])
def test_a_list_of_texts_reads_back(texts: list[str]) -> None:
    assert literal_list(repr(texts)) == texts


@given(st.lists(pieces, max_size=12).map("".join))
@example("a' 'b")
@example("a','b")
@example("a', 'b', ")
@example("a\\', 'b")
def test_what_is_no_plain_list_is_as_python_reads_it(inside: str) -> None:
    text = f"['{inside}']"
    # What Python joins of several texts no tool writes: it may be refused.
    assert literal_list(text) in ([by_python(text)] if not {"'", "\\"} & set(inside) else [by_python(text), None])
