"""Words that somebody may have meant."""

from onnx_tagger.model.suggestions import advice_on, close_matches


def test_endings_come_before_parts_and_parts_before_likenesses() -> None:
    pool = ["a.query", "a.query_norm", "a.qeury", "b"]
    assert close_matches("query", pool) == ["a.query", "a.query_norm", "a.qeury"]


def test_nothing_is_like_nothing() -> None:
    assert close_matches("", ["a"]) == []
    assert advice_on("zzz", ["a"], "see --help") == "see --help"


def test_a_large_pool_stays_quick() -> None:
    pool = [f"layer.{number}.attention.query" for number in range(60_000)]
    assert close_matches("layer.7.atention.query", pool)[0].endswith("query")
