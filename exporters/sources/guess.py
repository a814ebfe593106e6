"""Rules that make one input tensor from the name of a forward's parameter and the fields of a config.

A rule is about names of parameters and fields; none knows a model or an architecture. It returns candidates, best
first, and none if the config does not say enough. Which candidates a model accepts is found out in
`onnx_tagger.exporters.sources.inputs`.
"""

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace

import torch

from onnx_tagger.exporters.sources.inputspec import generator

MASKS = ("attention_mask", "decoder_attention_mask")


@dataclass(frozen=True)
class Setting:
    """What all rules share: the config, the dtype of float inputs, and the lengths that inputs have in common."""

    config: object
    dtype: torch.dtype
    seed: int
    batch: int
    sequence: int
    decoder_sequence: int
    packed: bool  # images come as rows of patches, with the grid of each image beside them


def setting_for(
    model: torch.nn.Module, names: Collection[str], given: Mapping[str, torch.Tensor], seed: int
) -> Setting:
    """The setting for a model with inputs of these names: batch 2 and 8 tokens (6 for a decoder), or the lengths that
    the inputs in `given` have.
    """
    config = getattr(model, "config", None)
    dtype = next((p.dtype for p in model.parameters() if p.dtype.is_floating_point), torch.float32)
    tokens = whole(config, "text", "max_position_embeddings", "n_positions") or 8
    decoder_tokens = whole(config, "decoder", "max_target_positions", "max_position_embeddings", "n_positions") or 6
    setting = Setting(config, dtype, seed, 2, min(8, tokens), min(6, decoder_tokens), "image_grid_thw" in names)
    if given:
        batch = next((tensor.shape[0] for tensor in given.values() if tensor.dim()), setting.batch)
        setting = replace(setting, batch=batch)
    for name, tensor in given.items():
        # the text rules make (batch, sequence); what else has two dimensions may be audio, which has its own length
        if tensor.dim() < 2 or name not in ("input_ids", "token_type_ids", "bbox", "decoder_input_ids", *MASKS):
            continue
        if name.startswith("decoder_"):
            setting = replace(setting, decoder_sequence=tensor.shape[1])
        else:
            setting = replace(setting, sequence=tensor.shape[1])
    return setting


_KINDS = {
    "text": ("text", "encoder", "language"),
    "decoder": ("decoder", "generator", "text", "language"),
    "vision": ("vision", "image", "encoder", "backbone"),
    "audio": ("audio", "speech", "encoder"),
}


def _sections(config: object, kind: str) -> Iterator[object]:
    """The config and those nested in it, the ones for `kind` first."""
    if config is None:
        return
    nested = {key: value for key, value in vars(config).items() if hasattr(value, "model_type")}
    favoured = [key for word in _KINDS[kind] for key in nested if word in key]
    for key in dict.fromkeys(favoured):
        yield from _sections(nested[key], kind)
    yield config
    for key in nested:
        if key not in favoured:
            yield from _sections(nested[key], kind)


def field(config: object, kind: str, *names: str) -> object:
    """The first of these fields that a config or one nested in it has; `kind` is the part of the model to favour."""
    for section in _sections(config, kind):
        for name in names:
            value = getattr(section, name, None)
            if value is not None:
                return value
    return None


def whole(config: object, kind: str, *names: str) -> int | None:
    """The same as `field` for a positive integer; None if it is anything else."""
    value = field(config, kind, *names)
    return value if type(value) is int and value > 0 else None


Rule = Callable[[Setting, str], list[torch.Tensor]]
_FRAMES = 16  # time steps that an audio model sees behind its feature extractor


def _normal(at: Setting, name: str, *shape: int) -> torch.Tensor:
    return torch.randn((at.batch, *shape), generator=generator(at.seed, name), dtype=at.dtype)


def _integers(at: Setting, name: str, high: int, *shape: int) -> torch.Tensor:
    return torch.randint(0, high, (at.batch, *shape), generator=generator(at.seed, name))


def _token_ids(at: Setting, name: str) -> list[torch.Tensor]:
    kind = "decoder" if name.startswith("decoder_") else "text"
    vocab = whole(at.config, kind, "vocab_size")
    if vocab is None or (kind == "decoder" and not _has_decoder(at.config)):
        return []
    # a special id in the middle of a text (padding, an image's place) would be taken at its word
    special = set(_special_ids(at.config))
    plain = torch.tensor([i for i in range(min(vocab, 2**16)) if i not in special] or list(range(vocab)))
    ids = plain[_integers(at, name, len(plain), at.decoder_sequence if kind == "decoder" else at.sequence)]
    end = field(at.config, kind, "eos_token_id")
    if kind == "text" and type(end) is int and 0 <= end < vocab:
        ids[:, -1] = end  # heads that pool a text at its end look for this id
    return [ids]


def _has_decoder(config: object) -> bool:
    """Whether a config does not deny it; some forwards take a decoder's tokens for only some of their configs."""
    said = [getattr(section, "is_encoder_decoder", None) for section in _sections(config, "decoder")]
    return any(said) or all(each is None for each in said)


def _special_ids(config: object) -> Iterator[int]:
    for section in _sections(config, "text"):
        fields: Mapping[str, object] = section.to_dict() if hasattr(section, "to_dict") else vars(section)
        for key, value in fields.items():
            if key.endswith(("_token_id", "_token_index")):
                yield from (i for i in (value if isinstance(value, list) else [value]) if type(i) is int)


def _mask(at: Setting, name: str) -> list[torch.Tensor]:
    length = at.decoder_sequence if name.startswith("decoder_") else at.sequence
    return [torch.ones((at.batch, length), dtype=torch.int64)]


def _token_types(at: Setting, name: str) -> list[torch.Tensor]:
    types = whole(at.config, "text", "type_vocab_size")
    return [_integers(at, name, types, at.sequence)] if types and types > 1 else []


def _boxes(at: Setting, name: str) -> list[torch.Tensor]:
    # (x0, y0, x1, y1) with x0 < x1 and y0 < y1: the differences are indices into an embedding too
    half = (whole(at.config, "text", "max_2d_position_embeddings") or 1000) // 2
    low, high = _integers(at, name, half, at.sequence, 2), _integers(at, name + "+", half, at.sequence, 2)
    return [torch.cat([low, high + half], dim=-1)]


def _images(at: Setting, name: str) -> list[torch.Tensor]:
    if at.packed:
        return _packed_images(at, name)
    channels = whole(at.config, "vision", "num_channels", "in_channels", "input_channels", "in_chans") or 3
    height, width = _image_size(at.config)
    frames = whole(at.config, "vision", "num_frames", "frames_per_clip")
    clips = [_normal(at, name, frames, channels, height, width)] if frames else []
    return [*clips, _normal(at, name, channels, height, width)]


def _packed_images(at: Setting, name: str) -> list[torch.Tensor]:
    patch, channels = (
        whole(at.config, "vision", "patch_size"),
        whole(at.config, "vision", "in_channels", "num_channels"),
    )
    if patch is None:
        return []
    depth = whole(at.config, "vision", "temporal_patch_size") or 1
    patches = int(_grids(at, name)[0][0].prod())
    rows = _normal(at, name, patches, (channels or 3) * depth * patch * patch)
    return [rows.flatten(0, 1)]


def _grids(at: Setting, name: str) -> list[torch.Tensor]:
    side = 2 * (whole(at.config, "vision", "spatial_merge_size", "merge_size") or 1)
    return [torch.tensor([[1, side, side]] * at.batch)]


def _image_size(config: object) -> tuple[int, int]:
    size = field(config, "vision", "image_size", "img_size", "input_size", "crop_size")
    if isinstance(size, Mapping):
        size = [size.get("height", size.get("shortest_edge")), size.get("width", size.get("shortest_edge"))]
    if type(size) is int:
        size = [size, size]
    if isinstance(size, (list, tuple)) and len(size) >= 2 and all(type(each) is int for each in size[-2:]):
        return size[-2], size[-1]
    return 224, 224


def _patches(at: Setting, name: str) -> list[torch.Tensor]:
    width = whole(at.config, "vision", "patch_embed_hidden_size")
    if width is None:
        return []
    # a patch is its row and column, counted from one, and then its pixels
    rows = torch.arange(at.sequence) // 4 + 1
    columns = torch.arange(at.sequence) % 4 + 1
    place = torch.stack([rows, columns], dim=-1).to(at.dtype).expand(at.batch, -1, -1)
    return [torch.cat([place, _normal(at, name, at.sequence, width)], dim=-1)]


def _audio(at: Setting, name: str) -> list[torch.Tensor]:
    kernels, strides = (field(at.config, "audio", each) for each in ("conv_kernel", "conv_stride"))
    channels = whole(at.config, "audio", "audio_channels")
    made = []
    if isinstance(kernels, (list, tuple)) and isinstance(strides, (list, tuple)):
        samples = _FRAMES
        for kernel, stride in reversed(list(zip(kernels, strides, strict=False))):
            samples = (samples - 1) * stride + kernel
        made.append(_normal(at, name, samples))
    ratios = field(at.config, "audio", "upsampling_ratios", "downsampling_ratios")
    if channels:
        hop = math.prod(ratios) if isinstance(ratios, (list, tuple)) else 320
        made.append(_normal(at, name, channels, _FRAMES * hop))
    return made + _spectrogram(at, name) + [_normal(at, name, 4000), _normal(at, name, 1, 4000)]


def _spectrogram(at: Setting, name: str) -> list[torch.Tensor]:
    width = whole(at.config, "audio", "feature_projection_input_dim", "input_feat_per_channel")
    if width:
        channels = whole(at.config, "audio", "input_channels") or 1
        return [_normal(at, name, 4 * _FRAMES, width), _normal(at, name, 4 * _FRAMES, width * channels)]
    bins = whole(at.config, "audio", "num_mel_bins", "n_mels")
    if bins is None:
        return []
    positions = whole(at.config, "audio", "max_source_positions")
    if positions:  # learned positions for every frame behind convolutions whose strides make 2, rarely 1 or 4
        return [_normal(at, name, bins, positions * stride) for stride in (2, 1, 4)]
    frames = whole(at.config, "audio", "max_length") or 4 * _FRAMES
    return [
        _normal(at, name, frames, bins),
        _normal(at, name, bins, frames),
        _normal(at, name, 1, frames, bins),
    ]


def _mel_frames(at: Setting, name: str) -> list[torch.Tensor]:
    bins = whole(at.config, "decoder", "num_mel_bins")
    return [_normal(at, name, at.decoder_sequence, bins)] if bins else []


def _masked_patches(at: Setting, name: str) -> list[torch.Tensor]:
    patch = whole(at.config, "vision", "patch_size")
    height, width = _image_size(at.config)
    return [_integers(at, name, 2, (height // patch) * (width // patch)).bool()] if patch else []


def _series(at: Setting, name: str) -> list[torch.Tensor]:
    length, channels = (whole(at.config, "text", each) for each in ("context_length", "num_input_channels"))
    return [_normal(at, name, length, channels)] if length and channels else []


def _regions(at: Setting, name: str) -> list[torch.Tensor]:
    width = whole(at.config, "vision", "visual_feat_dim" if name.endswith("feats") else "visual_pos_dim")
    return [_normal(at, name, 4, width)] if width else []


RULES: dict[str, Rule] = {
    "input_ids": _token_ids,
    "attention_mask": _mask,
    "token_type_ids": _token_types,
    "bbox": _boxes,
    "pixel_values": _images,
    "image_grid_thw": _grids,
    "flattened_patches": _patches,
    "input_values": _audio,
    "input_features": _spectrogram,
    "decoder_input_ids": _token_ids,
    "decoder_attention_mask": _mask,
    "decoder_input_values": _mel_frames,
    "visual_feats": _regions,
    "visual_pos": _regions,
}
# made only where the forward cannot do without
RULES_IF_REQUIRED: dict[str, Rule] = {
    "bool_masked_pos": _masked_patches,
    "pixel_values_videos": _images,
    "past_values": _series,
}
