"""Settings of sessions: those that are known are set, and what onnxruntime would take without a word is refused."""

from pathlib import Path

import pytest

from examples.profiled import blocks, saved
from onnx_tagger.errors import TaggerError
from onnx_tagger.runtime.settings import LEVELS, SETTINGS, Setup, provider_of, setting_of, setups_of


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("enable_mem_pattern=off", ("enable_mem_pattern", "0")),
        ("session.set_denormal_as_zero=1", ("session.set_denormal_as_zero", "1")),
        ("inter_op_num_threads = 2", ("inter_op_num_threads", "2")),
        ("execution_mode=parallel", ("execution_mode", "parallel")),
        ("provider.anything=x=y", ("provider.anything", "x=y")),
    ],
)
def test_a_setting_is_read(text: str, found: tuple[str, str]) -> None:
    assert setting_of(text) == found


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "cpu_memory_layout=1",
            "no setting 'cpu_memory_layout' of onnxruntime is known to do anything; the nearest is",
        ),
        ("session.profiling_level=2", "'session.profiling_level'"),
        ("session.disable_prepackin=1", "nearest is 'session.disable_prepacking'"),
        ("enable_mem_pattern", "has no value"),
        ("enable_mem_pattern=maybe", "is on or off, not 'maybe'"),
        ("inter_op_num_threads=two", "takes a whole number"),
        ("execution_mode=fast", "choose sequential or parallel"),
    ],
)
def test_what_is_no_setting_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(TaggerError) as caught:
        setting_of(text)
    assert sentence in str(caught.value)


def test_every_setting_can_be_set(tmp_path: Path) -> None:
    path = saved(blocks(), tmp_path / "m.onnx")
    values = {"flag": "1", "count": "1", "text": ""}
    own = {"execution_mode": "parallel"}
    # Without the CPU there is no other provider here to run anything.
    texts = {"session.disable_cpu_ep_fallback"} | {name for name, setting in SETTINGS.items() if setting.kind == "text"}
    settings = {name: own.get(name, values[s.kind]) for name, s in SETTINGS.items() if name not in texts or name in own}
    setup = Setup("basic", "CPUExecutionProvider", 1, settings)
    options = setup.options()
    assert options.enable_mem_pattern is True
    assert options.inter_op_num_threads == 1
    assert options.get_session_config_entry("session.set_denormal_as_zero") == "1"
    assert setup.session(path).get_inputs()[0].name == "x"


def test_ways_are_each_level_and_the_first_with_each_change() -> None:
    found = setups_of(["basic", "all"], ["enable_mem_pattern=0,session.disable_prepacking=1"], None, 1)
    assert [setup.name for setup in found] == [
        "basic",
        "all",
        "basic enable_mem_pattern=0 session.disable_prepacking=1",
    ]
    assert setups_of([], [], None, 1) == [Setup()]
    for levels, changes, sentence in (
        (["fast"], [], "no optimisation level is 'fast'"),
        (["all", "all"], [], "'all' is asked for twice"),
        ([], ["enable_mem_pattern=0", "enable_mem_pattern=off"], "asked for twice"),
    ):
        with pytest.raises(TaggerError, match=sentence):
            setups_of(levels, changes, None, 1)
    with pytest.raises(TaggerError, match="-1 threads"):
        setups_of([], [], None, -1)


def test_levels_reach_the_session() -> None:
    names = [str(Setup(level).options().graph_optimization_level) for level in LEVELS]
    assert len(set(names)) == len(LEVELS)


def test_a_provider_by_its_short_name() -> None:
    assert provider_of(None) == provider_of("cpu") == "CPUExecutionProvider"
    with pytest.raises(TaggerError, match="no provider 'Abacus' here; choose from"):
        provider_of("Abacus")


def test_what_does_not_load_is_said(tmp_path: Path) -> None:
    model = blocks()
    model.graph.node[0].domain = "nobody.knows"
    with pytest.raises(TaggerError, match="onnxruntime does not load it with all"):
        Setup().session(saved(model, tmp_path / "m.onnx"))
