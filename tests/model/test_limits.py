"""Limits on inputs, as texts and as the environment give them."""

from __future__ import annotations

import pytest

from onnx_tagger.errors import TaggerError
from onnx_tagger.model.limits import InputLimits


@pytest.mark.parametrize("text", ["depht=3", "nodes", "nodes=0", "nodes=-1", "nodes=" + "9" * 30, "nodes=1.5", "=1"])
def test_a_limit_that_is_none_is_said(text: str) -> None:
    with pytest.raises(TaggerError, match=r"^here: (there is no limit|the limit nodes is set to)"):
        InputLimits().with_text(text, "here")
