from __future__ import annotations

import pytest

from onnx_tagger.errors import TaggerError
from onnx_tagger.model.urls import Url, is_url, local_path_of, place_of, shown_url


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://h/m.onnx", "https://h/m.onnx"),
        ("https://u:p@h/m.onnx", "https://***@h/m.onnx"),
        ("https://u:p@x@h/m.onnx", "https://***@h/m.onnx"),
        ("https://h/m.onnx?sig=abc&dl=1", "https://h/m.onnx?sig=***&dl=1"),
        ("https://h/m.onnx#access_token=abc", "https://h/m.onnx#access_token=***"),
        ("simplecache::https://u:p@h/m.onnx", "simplecache::https://***@h/m.onnx"),
        ("ConnectionError: https://u:p@h/x?token=1 refused", "ConnectionError: https://***@h/x?token=*** refused"),
    ],
)
def test_secrets_are_hidden(url: str, shown: str) -> None:
    assert shown_url(url) == shown


@pytest.mark.parametrize(
    ("url", "sibling"),
    [
        ("https://h/a/m.onnx?sig=1", "https://h/a/w%20x.bin?sig=1"),
        ("s3://bucket/a/m.onnx", "s3://bucket/a/w x.bin"),
        ("simplecache::https://h/a/m.onnx", "simplecache::https://h/a/w%20x.bin"),
        ("zip://a/m.onnx::https://h/z.zip", "zip://a/w x.bin::https://h/z.zip"),
    ],
)
def test_data_lies_beside_the_model(url: str, sibling: str) -> None:
    assert Url(url).sibling("w x.bin") == sibling


def test_paths_stay_paths() -> None:
    assert not is_url("C:/m.onnx")
    assert str(place_of("a/m.onnx", "it")) == "a/m.onnx"
    assert str(place_of("file:///a/m%20n.onnx", "it")) == "/a/m n.onnx"
    assert str(local_path_of("file:///a/m.onnx", "it")) == "/a/m.onnx"
    with pytest.raises(TaggerError, match=r"it is 'https://\*\*\*@h/m.onnx'; give the path of a local file"):
        local_path_of("https://u:p@h/m.onnx", "it")
