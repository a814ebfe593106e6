"""What is quoted of the errors of other packages."""

from __future__ import annotations

import pytest

from onnx_tagger.errors import first_sentence, one_line


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("plain", "plain"),
        ("output 1 (3\n[ Long{} ]) is constant; look.\nMore", "output 1 (3 [ Long{} ]) is constant; look"),
        ("No guard on Eq(u0, 1) (as: Eq(u0, 1)).  (Size: none)\n\nconsider", "No guard on Eq(u0, 1) (as: Eq(u0, 1))"),
        ("Branching\n  Explanation: it branches", "Branching"),
        ("a sentence that\ngoes on here", "a sentence that goes on here"),
        ("ends.\ngoes on", "ends"),
        ("\n\n  late\n", "late"),
        ("step \x1b[96m1/3\x1b[0m failed. Next", "step 1/3 failed"),
        ("use e.g. A or i.e. B. Then", "use e.g. A or i.e. B"),
        ("version 1.2.3 of onnx.Model is old! Renew it", "version 1.2.3 of onnx.Model is old!"),
        ("(open bracket. And more", "(open bracket. And more"),
        ("one of torch.nn.Linear vs. Bilinear. Then", "one of torch.nn.Linear vs. Bilinear"),
        ("of torch.nn.Linear 2.5 e.g. This one\n\nmore", "of torch.nn.Linear 2.5 e.g. This one"),
        ("what? Then", "what?"),
        ("long " * 400, "long " * 199 + "..."),
        ("", ""),
    ],
)  # fmt: skip
def test_first_sentence(said: str, sentence: str) -> None:
    assert first_sentence(said) == sentence
    assert first_sentence(ValueError(said)) == (sentence or "ValueError")
    assert one_line(ValueError(said)) == (f"ValueError: {sentence}" if sentence else "ValueError")
