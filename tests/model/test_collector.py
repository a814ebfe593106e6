"""The garbage collector is kept out of a block, and is afterwards as it was."""

import gc

import pytest

from onnx_tagger.model.collector import collector_paused


@pytest.mark.parametrize("enabled", [True, False])
def test_the_collector_is_as_it_was_also_after_an_error(enabled: bool) -> None:
    before = gc.isenabled()
    (gc.enable if enabled else gc.disable)()
    try:
        with collector_paused():
            with pytest.raises(ZeroDivisionError), collector_paused():
                raise ZeroDivisionError
            assert not gc.isenabled()
        assert gc.isenabled() is enabled
    finally:
        (gc.enable if before else gc.disable)()
