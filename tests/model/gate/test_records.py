"""The words of the settings' file are those of the tables that they come from."""

from typing import get_args

from onnx_tagger.model.dialects import READABLE
from onnx_tagger.model.evidence import EVIDENCES
from onnx_tagger.model.gate.records import FILE_KEYS, KEYS, DialectName, EvidenceName, FormName
from onnx_tagger.model.gate.settings import DEFAULTS, WHOLE
from onnx_tagger.reporters import VERDICT_FORMS


def test_words() -> None:
    assert set(get_args(EvidenceName)) == set(EVIDENCES)
    assert get_args(DialectName) == READABLE
    assert get_args(FormName) == tuple(VERDICT_FORMS)


def test_keys() -> None:
    assert set(KEYS) == {*DEFAULTS, "per-file"}
    assert set(FILE_KEYS) == DEFAULTS.keys() - set(WHOLE)
