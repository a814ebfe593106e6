"""Sources of models: configs, directories, factories; that inputs are made for each of them, or taken from a spec."""

import importlib
import importlib.util
import inspect
import json
import pickle
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from onnx_tagger.errors import MissingExtraError, SourceError  # noqa: E402
from onnx_tagger.exporters.sources.loading import load_source  # noqa: E402

FIXTURES = Path(__file__).parents[3] / "fixtures" / "configs"

BODY = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
TEXT = {**BODY, "vocab_size": 99, "max_position_embeddings": 64, "bos_token_id": 1, "eos_token_id": 2}
IMAGE = {**BODY, "image_size": 32, "patch_size": 8}
SOUND = {**BODY, "conv_dim": [16] * 3, "conv_kernel": [10, 3, 2], "conv_stride": [5, 2, 2]}
SOUND |= {"num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 2}
TWO_SIDES = {"d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64}
TWO_SIDES |= {"encoder_attention_heads": 2, "decoder_attention_heads": 2}
TRANSLATE = {**TWO_SIDES, "vocab_size": 99, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
SEGMENT = {"num_encoder_blocks": 2, "depths": [1, 1], "sr_ratios": [4, 2], "hidden_sizes": [16, 32]}
SEGMENT |= {"patch_sizes": [7, 3], "strides": [4, 2], "num_attention_heads": [1, 2], "mlp_ratios": [2, 2]}
SWIN = {"image_size": 32, "patch_size": 2, "embed_dim": 16, "depths": [2, 2], "num_heads": [2, 2], "window_size": 4}
RESNET = {"embedding_size": 16, "hidden_sizes": [16, 32], "depths": [1, 1], "layer_type": "basic"}
EYE = {**IMAGE, "model_type": "clip_vision_model", "projection_dim": 16}
PIX2STRUCT_TEXT = {"vocab_size": 99, "hidden_size": 32, "d_kv": 16, "d_ff": 64, "num_layers": 2, "num_heads": 2}
PIX2STRUCT_EYE = {**BODY, "patch_embed_hidden_size": 48, "d_ff": 64, "d_kv": 16, "seq_len": 64}
QWEN_EYE = {"depth": 1, "embed_dim": 32, "hidden_size": 32, "num_heads": 2, "patch_size": 8}
ROTARY = {"rope_type": "default", "mrope_section": [2, 3, 3]}
GPT2 = {"vocab_size": 99, "n_positions": 64, "n_embd": 32, "n_layer": 2, "n_head": 2, "bos_token_id": 1}

# architecture, model type, config: what of `transformers` the inputs are made for here, beside the configs in fixtures/
MODELS: list[tuple[str, str, dict[str, object]]] = [
    ("DistilBertModel", "distilbert", {"vocab_size": 99, "dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 64}),
    ("DebertaV2Model", "deberta-v2", {**TEXT, "relative_attention": True, "pos_att_type": ["p2c", "c2p"]}),
    ("LayoutLMModel", "layoutlm", {**TEXT, "max_2d_position_embeddings": 128}),
    ("MambaModel", "mamba", {"vocab_size": 99, "hidden_size": 32, "num_hidden_layers": 2, "state_size": 8}),
    ("MixtralForCausalLM", "mixtral", {**TEXT, "num_key_value_heads": 1, "num_local_experts": 4}),
    ("BartModel", "bart", TRANSLATE),
    ("BartForSequenceClassification", "bart", TRANSLATE),
    ("EncoderDecoderModel", "encoder-decoder", {
        "encoder": {**TEXT, "model_type": "bert"},
        "decoder": {**TEXT, "model_type": "bert", "is_decoder": True, "add_cross_attention": True},
    }),
    ("SwinModel", "swin", SWIN),
    ("SegformerModel", "segformer", {**SEGMENT, "image_size": 64}),
    ("DetrForObjectDetection", "detr", {
        **TWO_SIDES, "num_queries": 5, "use_timm_backbone": False, "backbone": None, "use_pretrained_backbone": False,
        "backbone_config": {**RESNET, "model_type": "resnet", "out_features": ["stage2"]},
    }),
    ("VideoMAEModel", "videomae", {**IMAGE, "num_frames": 4, "tubelet_size": 2}),
    ("Wav2Vec2ForCTC", "wav2vec2", {**SOUND, "vocab_size": 32}),
    ("HubertModel", "hubert", SOUND),
    ("ASTModel", "audio-spectrogram-transformer", {**BODY, "patch_size": 8, "max_length": 32, "num_mel_bins": 16}),
    ("Speech2TextModel", "speech_to_text", {
        **TRANSLATE, "input_feat_per_channel": 16, "conv_channels": 32, "max_source_positions": 99,
    }),
    ("CLIPModel", "clip", {
        "projection_dim": 16, "vision_config": EYE, "text_config": {**TEXT, "model_type": "clip_text_model"},
    }),
    ("BlipForConditionalGeneration", "blip", {
        "vision_config": IMAGE, "text_config": {**TEXT, "encoder_hidden_size": 32, "sep_token_id": 2},
    }),
    ("Pix2StructForConditionalGeneration", "pix2struct", {
        "text_config": PIX2STRUCT_TEXT, "vision_config": PIX2STRUCT_EYE,
    }),
    ("VisionEncoderDecoderModel", "vision-encoder-decoder", {
        "encoder": {**IMAGE, "model_type": "vit"},
        "decoder": {**GPT2, "model_type": "gpt2", "is_decoder": True, "add_cross_attention": True},
    }),
    ("LlavaForConditionalGeneration", "llava", {
        "text_config": {**TEXT, "model_type": "llama"}, "vision_config": EYE, "image_token_index": 98,
    }),
    ("Qwen2VLForConditionalGeneration", "qwen2_vl", {
        "text_config": {**TEXT, "num_key_value_heads": 1, "rope_parameters": ROTARY}, "vision_config": QWEN_EYE,
        "image_token_id": 98, "video_token_id": 97, "vision_start_token_id": 96,
    }),
]  # fmt: skip


def write_config(folder: Path, architecture: str, model_type: str, config: dict[str, object]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "config.json"
    path.write_text(json.dumps({"architectures": [architecture], "model_type": model_type, **config}))
    return path


def shapes(kwargs: dict[str, object]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in kwargs.items()}


def bert(folder: Path) -> Path:
    return write_config(folder, "BertModel", "bert", TEXT)


@pytest.mark.parametrize(("architecture", "model_type", "config"), MODELS, ids=[entry[0] for entry in MODELS])
def test_made_inputs_forward(tmp_path, caplog, architecture, model_type, config):
    source = load_source(str(write_config(tmp_path, architecture, model_type, config)))
    assert type(source.model).__name__ == architecture
    assert source.args == ()
    with torch.no_grad():
        outputs = source.model(**source.kwargs)
    assert "past_key_values" not in outputs
    assert not [record for record in caplog.records if record.name.startswith("onnx_tagger")], "an input was left out"


@pytest.mark.parametrize("path", sorted(FIXTURES.iterdir()), ids=lambda path: path.name)
def test_shipped_configs_forward(path):
    source = load_source(str(path))
    assert source.name == path.name
    assert not source.model.training
    with torch.no_grad():
        assert "past_key_values" not in source.model(**source.kwargs)


def test_inputs_of_text_and_speech():
    of_gpt2 = load_source(str(FIXTURES / "gpt2-tiny")).kwargs
    assert shapes(of_gpt2) == {"input_ids": (2, 8), "attention_mask": (2, 8)}
    of_whisper = load_source(str(FIXTURES / "whisper-tiny")).kwargs
    assert shapes(of_whisper) == {
        "input_features": (2, 16, 64),
        "decoder_input_ids": (2, 6),
        "decoder_attention_mask": (2, 6),
    }


def test_image_placeholders_are_as_many_as_features(tmp_path):
    config = next(config for name, _, config in MODELS if name.startswith("Llava"))
    source = load_source(str(write_config(tmp_path, "LlavaForConditionalGeneration", "llava", config)))
    assert (source.kwargs["input_ids"] == 98).sum(dim=1).tolist() == [16, 16]  # 4 x 4 patches


def test_seed_decides_weights_and_inputs_and_the_callers_state_stays(tmp_path):
    path = str(bert(tmp_path))
    before = torch.get_rng_state()
    one, same, other = load_source(path, seed=1), load_source(path, seed=1), load_source(path, seed=2)
    assert torch.equal(torch.get_rng_state(), before)
    first = [source.model.embeddings.word_embeddings.weight for source in (one, same, other)]
    assert torch.equal(first[0], first[1])
    assert not torch.equal(first[0], first[2])
    assert torch.equal(one.kwargs["input_ids"], same.kwargs["input_ids"])
    assert not torch.equal(one.kwargs["input_ids"], other.kwargs["input_ids"])
    assert all(parameter.requires_grad for parameter in one.model.parameters())


def test_unknown_architecture_falls_back_to_auto_model(tmp_path):
    assert type(load_source(str(write_config(tmp_path, "Nowhere", "bert", TEXT))).model).__name__ == "BertModel"


def test_random_weights_are_float32_whatever_the_config_says(tmp_path):
    path = write_config(tmp_path, "BertModel", "bert", {**TEXT, "dtype": "bfloat16"})
    assert {parameter.dtype for parameter in load_source(str(path)).model.parameters()} == {torch.float32}


@pytest.mark.parametrize("stored", ["model.safetensors", "pytorch_model.bin"])
def test_directory_with_weights(tmp_path, stored):
    model = load_source(str(FIXTURES / "vit-tiny"), seed=5).model
    model.save_pretrained(tmp_path)
    if stored.endswith(".bin"):
        (tmp_path / "model.safetensors").unlink()
        torch.save(model.state_dict(), tmp_path / stored)
    loaded = load_source(str(tmp_path))
    assert loaded.name == tmp_path.name
    for name, value in model.state_dict().items():
        assert torch.equal(loaded.model.state_dict()[name], value)
    from_config = load_source(str(tmp_path / "config.json")).model.state_dict()
    assert any(not torch.equal(value, from_config[name]) for name, value in model.state_dict().items())


def test_inputs_have_the_dtype_of_the_weights(tmp_path):
    load_source(str(FIXTURES / "vit-tiny")).model.bfloat16().save_pretrained(tmp_path)
    assert load_source(str(tmp_path)).kwargs["pixel_values"].dtype is torch.bfloat16


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("empty", None, "has no config.json"),
        ("broken", "{", "config cannot be read"),
        ("typeless", "{}", "config cannot be read"),
        ("unfit", '{"model_type": "bert", "hidden_size": 30, "num_attention_heads": 4}', "no model can be built"),
    ],
)
def test_unusable_directories(tmp_path, name, content, says):
    folder = tmp_path / name
    folder.mkdir()
    if content is not None:
        (folder / "config.json").write_text(content)
    with pytest.raises(SourceError, match=says) as caught:
        load_source(str(folder))
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_broken_weights(tmp_path):
    bert(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(SourceError, match="weights cannot be loaded"):
        load_source(str(tmp_path))


@pytest.mark.parametrize("source", ["nobody/no-such-model", "no/such/dir", "missing.json", "model.py", "a b:c", ""])
def test_what_does_not_exist(source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceError) as caught:
        load_source(source)
    assert "\n" not in str(caught.value)


def test_transformers_missing(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"transformers, .*onnx-tagger\[hf\]"):
        load_source(str(bert(tmp_path)))


FACTORIES = """
import torch
from neighbour import WIDTH

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = torch.nn.Linear(WIDTH, 3)
    def forward(self, x, scale=None):
        return self.fc(x) if scale is None else self.fc(x) * scale

def positional(): return Net(), (torch.zeros(2, WIDTH),)
def bare(): return Net(), torch.zeros(2, WIDTH)
def named(): return Net(), {"x": torch.zeros(2, WIDTH)}
def both(): return [Net(), [torch.zeros(2, WIDTH)], {"scale": torch.ones(3)}]
def lazy():
    from later import WIDTH
    return Net(), (torch.zeros(2, WIDTH),)

def no_inputs(): return Net()
def nothing(): pass
def no_model(): return (torch.zeros(1), ())
def wrong_args(): return Net(), 3
def wrong_kwargs(): return Net(), (), {1: 2}
def too_few(): return Net(), ()
def too_many(): return Net(), {"x": torch.zeros(2, WIDTH), "y": 1}
def fails(): raise ValueError("two\\nlines")
def leaves(): raise SystemExit(3)
no_function = 3
"""


@pytest.fixture
def factories(tmp_path):
    (tmp_path / "neighbour.py").write_text("WIDTH = 4\n")
    (tmp_path / "later.py").write_text("WIDTH = 4\n")
    path = tmp_path / "nets.py"
    path.write_text(FACTORIES)
    yield path
    for name in ("neighbour", "later", "nets"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("factory", "positional", "named"),
    [
        ("positional", 1, []),
        ("bare", 1, []),
        ("named", 0, ["x"]),
        ("both", 1, ["scale"]),
        ("lazy", 1, []),
    ],
)
def test_factories(factories, factory, positional, named):
    path_before = list(sys.path)
    source = load_source(f"{factories}:{factory}")
    assert sys.path == path_before
    assert (len(source.args), list(source.kwargs), source.name) == (positional, named, factory)
    assert not source.model.training
    assert source.model(*source.args, **source.kwargs).shape == (2, 3)


def test_factory_weights_hang_on_the_seed(factories):
    one, same, other = (load_source(f"{factories}:named", seed=seed).model.fc.weight for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_factory_of_a_module(factories, monkeypatch):
    monkeypatch.chdir(factories.parent)
    assert load_source("nets:named").name == "named"


@pytest.mark.parametrize(
    ("factory", "says"),
    [
        ("no_inputs", "a model without inputs; a factory returns"),
        ("nothing", "returned NoneType"),
        ("no_model", r"returned \(Tensor, tuple\)"),
        ("wrong_args", "args are a int"),
        ("wrong_kwargs", "kwargs are no dict"),
        ("too_few", "missing a required argument: 'x'"),
        ("too_many", "unexpected keyword argument 'y'"),
        ("fails", r"fails\(\) in .* failed: ValueError: two lines"),
        ("leaves", "SystemExit: 3"),
        ("no_function", "has no function 'no_function'"),
        ("absent", "has no function 'absent'"),
    ],
)
def test_factories_that_fail(factories, factory, says):
    with pytest.raises(SourceError, match=says) as caught:
        load_source(f"{factories}:{factory}")
    assert f"{factories}:{factory}" in str(caught.value)


@pytest.mark.parametrize("code", ["import no_such_module_anywhere", "def f(:", "raise SystemExit(1)"])
def test_factory_files_that_cannot_be_imported(tmp_path, code):
    (tmp_path / "broken.py").write_text(code)
    modules = set(sys.modules)
    with pytest.raises(SourceError, match="cannot be imported") as caught:
        load_source(f"{tmp_path / 'broken.py'}:make")
    assert caught.value.__cause__ is not None
    assert not {name for name in set(sys.modules) - modules if "broken" in name}


def spec_file(tmp_path: Path, content: object) -> Path:
    path = tmp_path / "spec.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_spec_overrides_and_the_rest_follows(tmp_path):
    spec = {
        "input_ids": {"dtype": "int64", "shape": [3, 11], "range": [5, 9]},
        "token_type_ids": None,
        "attention_mask": {"dtype": "bool", "shape": [3, 11], "values": True},
    }
    inputs = load_source(str(FIXTURES / "bert-tiny"), inputs=spec_file(tmp_path, spec)).kwargs
    assert shapes(inputs) == {"input_ids": (3, 11), "attention_mask": (3, 11)}
    assert set(inputs["input_ids"].unique().tolist()) <= {5, 6, 7, 8}
    assert bool(inputs["attention_mask"].all())
    ids = {"input_ids": {"dtype": "int32", "shape": [1, 5]}}
    assert shapes(load_source(str(FIXTURES / "t5-tiny"), inputs=spec_file(tmp_path, ids)).kwargs) == {
        "input_ids": (1, 5),
        "attention_mask": (1, 5),
        "decoder_input_ids": (1, 6),
        "decoder_attention_mask": (1, 6),
    }


def test_spec_overrides_a_factory(factories, tmp_path):
    spec = spec_file(tmp_path, {"x": {"dtype": "float32", "shape": [7, 4], "range": [2, 3]}, "scale": None})
    source = load_source(f"{factories}:both", inputs=spec)
    assert source.kwargs == {}
    assert source.args[0].shape == (7, 4)
    assert source.args[0].min() >= 2
    assert source.args[0].max() < 3
    with pytest.raises(SourceError, match="gives it by position"):
        load_source(f"{factories}:both", inputs=spec_file(tmp_path, {"x": None}))


def test_spec_of_an_unknown_input(factories, tmp_path):
    spec = spec_file(tmp_path, {"input_idz": {"dtype": "int64", "shape": [2, 8]}})
    with pytest.raises(SourceError, match="did you mean 'input_ids'"):
        load_source(str(FIXTURES / "bert-tiny"), inputs=spec)
    with pytest.raises(SourceError, match="it takes x, scale"):
        load_source(f"{factories}:named", inputs=spec)


ALONE = """
import torch

class Net(torch.nn.Module):
    def forward(self, x, /, y, scale=None, *, shift=None):
        out = x * y if scale is None else x * y * scale
        return out if shift is None else out + shift

def alone(): return Net()
"""


def alone_file(tmp_path: Path) -> Path:
    path = tmp_path / "alone_source.py"
    path.write_text(ALONE)
    return path


def test_a_model_alone_takes_the_inputs_of_the_spec(tmp_path):
    path = alone_file(tmp_path)
    entry = {"dtype": "float32", "shape": [2, 4]}
    spec = spec_file(tmp_path, {"shift": entry, "y": entry, "x": {**entry, "values": 1}})
    source = load_source(f"{path}:alone", inputs=spec)
    assert (len(source.args), list(source.kwargs)) == (2, ["shift"])
    assert bool((source.args[0] == 1).all())
    assert source.model(*source.args, **source.kwargs).shape == (2, 4)


def test_a_model_alone_needs_every_input(tmp_path):
    path = alone_file(tmp_path)
    spec = spec_file(tmp_path, {"x": {"dtype": "float32", "shape": [2, 4]}})
    with pytest.raises(SourceError, match=r"spec\.json: describes no input 'y', which Net\.forward needs; add it"):
        load_source(f"{path}:alone", inputs=spec)
    with pytest.raises(SourceError, match=r"a model without inputs; .* a model alone where --inputs describes"):
        load_source(f"{path}:alone")


NAMED = """
from __future__ import annotations
import dataclasses, pickle, sys, torch

@dataclasses.dataclass
class Settings:
    width: int = 4

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.settings = Settings()
        self.fc = torch.nn.Linear(4, 3)
    def forward(self, x):
        return self.fc(x)

def make(): return Net(), (torch.zeros(2, 4),)
"""


def test_a_file_is_loaded_under_its_own_name(tmp_path):
    path = tmp_path / "a_net_of_mine.py"
    path.write_text(NAMED)
    source = load_source(f"{path}:make")
    assert type(source.model).__module__ == "a_net_of_mine"
    assert type(pickle.loads(pickle.dumps(source.model))) is type(source.model)
    assert "class Net" in inspect.getsource(type(source.model))
    other = tmp_path / "other" / path.name
    other.parent.mkdir()
    other.write_text(NAMED.replace("Linear(4, 3)", "Linear(4, 5)"))
    again = load_source(f"{other}:make")
    assert again.model.fc.out_features == 5
    assert type(pickle.loads(pickle.dumps(again.model))) is type(again.model)


def test_a_loaded_module_of_the_same_name_stays(tmp_path):
    path = tmp_path / "json.py"
    path.write_text(NAMED)
    source = load_source(f"{path}:make")
    assert type(source.model).__module__ == "json"
    assert sys.modules["json"] is json
    path.write_text("raise ValueError")
    with pytest.raises(SourceError, match="ValueError"):
        load_source(f"{path}:make")
    assert sys.modules["json"] is json


def test_a_file_that_is_imported_already_is_taken_as_it_is(tmp_path, monkeypatch):
    path = tmp_path / "imported_before.py"
    path.write_text(NAMED)
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("imported_before")
    try:
        assert type(load_source(f"{path}:make").model) is module.Net
    finally:
        del sys.modules["imported_before"]


REGISTERING = """
import torch

@torch.library.custom_op("onnx_tagger_test::raised", mutates_args=())
def raised(x: torch.Tensor) -> torch.Tensor:
    return x + 1

class Raised(torch.nn.Module):
    def forward(self, x):
        return raised(x)

def make():
    return Raised(), (torch.zeros(2),)
"""


def test_a_file_is_executed_once_until_it_changes(tmp_path: Path) -> None:
    # Registered once more, torch would free the operator that the first model calls.
    path = tmp_path / "registering_an_operator.py"
    path.write_text(REGISTERING)
    first = load_source(f"{path}:make")
    second = load_source(f"{path}:make")
    assert type(first.model) is type(second.model)
    assert first.model is not second.model
    assert torch.equal(first.model(*first.args), torch.ones(2))
    path.write_text(REGISTERING.replace("x + 1", "x + 22"))
    assert torch.equal(load_source(f"{path}:make").model(torch.zeros(2)), torch.full((2,), 22.0))


def test_a_file_that_was_imported_under_another_name_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "named_otherwise.py"
    path.write_text(REGISTERING.replace("::raised", "::risen"))
    found = importlib.util.spec_from_file_location("another_name_of_it", path)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules["another_name_of_it"] = module
    try:
        found.loader.exec_module(module)
        assert type(load_source(f"{path}:make").model) is module.Raised
    finally:
        del sys.modules["another_name_of_it"]
