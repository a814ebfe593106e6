"""The settings of onnxruntime's sessions that are known, what each does, and sessions made with them.

onnxruntime takes any key of its configuration without a word, also one that does nothing; here an unknown one is an
error. A runtime is set up for measuring: one thread unless asked for more.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from onnx_tagger.errors import TaggerError, first_sentence, require
from onnx_tagger.model.suggestions import advice_on, close_matches
from onnx_tagger.model.texts import brief_fields

if TYPE_CHECKING:
    import onnxruntime as ort

LEVELS = {
    "disable": "ORT_DISABLE_ALL",
    "basic": "ORT_ENABLE_BASIC",
    "extended": "ORT_ENABLE_EXTENDED",
    "layout": "ORT_ENABLE_LAYOUT",
    "all": "ORT_ENABLE_ALL",
}
"""Optimisation levels, the lowest first, with onnxruntime's names for them."""

Kind = Literal["flag", "count", "text"]
_ON, _OFF = ("1", "true", "on", "yes"), ("0", "false", "off", "no")


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of a session.

    Attributes
    ----------
    does : str
        What it does.
    kind : "flag", "count" or "text"
        What it takes: 0 or 1, a whole number, or any text.
    attribute : bool
        Whether it is a field of SessionOptions; else an entry of its configuration.
    """

    does: str
    kind: Kind = "flag"
    attribute: bool = False

    __repr__ = brief_fields


SETTINGS: dict[str, Setting] = {
    "intra_op_num_threads": Setting("threads inside a kernel; as --threads", "count", True),
    "inter_op_num_threads": Setting("threads for kernels side by side, with execution_mode=parallel", "count", True),
    "execution_mode": Setting("sequential, or parallel for kernels side by side", "text", True),
    "enable_cpu_mem_arena": Setting("keep freed memory for the next tensors", "flag", True),
    "enable_mem_pattern": Setting("plan the memory of a run ahead from the shapes of an earlier one", "flag", True),
    "enable_mem_reuse": Setting("let tensors take the place of those that nobody reads any more", "flag", True),
    "session.set_denormal_as_zero": Setting("take the smallest numbers as 0, which some CPUs compute slowly with"),
    "session.disable_prepacking": Setting("do not bring weights into the layout of the kernels when loading"),
    "session.intra_op.allow_spinning": Setting("let threads inside a kernel wait busily"),
    "session.inter_op.allow_spinning": Setting("let threads of kernels side by side wait busily"),
    "session.force_spinning_stop": Setting("stop busy waiting at the end of a run"),
    "session.dynamic_block_base": Setting("share work out to threads in blocks that become smaller", "count"),
    "session.intra_op_thread_affinities": Setting("which processors the threads inside a kernel run on", "text"),
    "session.use_device_allocator_for_initializers": Setting("keep weights out of the arena"),
    "session.disable_quant_qdq": Setting("leave pairs of QuantizeLinear and DequantizeLinear as they are"),
    "session.enable_quant_qdq_cleanup": Setting("remove pairs of QuantizeLinear and DequantizeLinear that are left"),
    "session.disable_double_qdq_remover": Setting("keep doubled pairs of QuantizeLinear and DequantizeLinear"),
    "session.qdqisint8allowed": Setting("take int8 activations in quantised kernels"),
    "session.disable_aot_function_inlining": Setting("do not inline functions before the optimiser runs"),
    "session.disable_cpu_ep_fallback": Setting("fail where the chosen provider cannot run a node"),
    "session.strict_shape_type_inference": Setting("fail where shapes contradict each other"),
    "optimization.enable_gelu_approximation": Setting("compute Gelu by tanh"),
    "optimization.enable_cast_chain_elimination": Setting("remove chains of Cast"),
    "mlas.enable_gemm_fastmath_arm64_bfloat16": Setting("multiply float32 matrices in bfloat16, on ARM"),
}

# Options of a provider are its own affair: it refuses those that it does not know.
PROVIDER_PREFIX = "provider."


@dataclass(frozen=True)
class Setup:
    """How a session is made.

    Parameters
    ----------
    level : str
        One of `LEVELS`.
    provider : str
        Such as ``CPUExecutionProvider``.
    threads : int
        Inside a kernel; 0 for as many as onnxruntime takes.
    settings : mapping
        Name to value, as `setting_of` returns them.
    """

    level: str = "all"
    provider: str = "CPUExecutionProvider"
    threads: int = 1
    settings: Mapping[str, str] = field(default_factory=dict)

    __repr__ = brief_fields

    @property
    def name(self) -> str:
        """What sets it apart from others: the level, and what was set."""
        return " ".join([self.level, *(f"{name}={value}" for name, value in self.settings.items())])

    def as_dict(self) -> dict[str, str]:
        """All of it as texts."""
        return {"level": self.level, "provider": self.provider, "threads": str(self.threads), **self.settings}

    def options(self) -> ort.SessionOptions:
        """The options of a session."""
        import onnxruntime as ort

        made = ort.SessionOptions()
        made.log_severity_level = 4
        made.graph_optimization_level = getattr(ort.GraphOptimizationLevel, LEVELS[self.level])
        made.intra_op_num_threads = self.threads
        for name, value in self.settings.items():
            if name.startswith(PROVIDER_PREFIX):
                continue
            if not SETTINGS[name].attribute:
                made.add_session_config_entry(name, value)
            elif name == "execution_mode":
                made.execution_mode = getattr(ort.ExecutionMode, f"ORT_{value.upper()}")
            else:
                setattr(made, name, int(value) if SETTINGS[name].kind == "count" else value == "1")
        return made

    def session(
        self, path: Path, options: ort.SessionOptions | None = None, data: bytes | None = None
    ) -> ort.InferenceSession:
        """Make a session of a file, or of bytes that stand for it, whose external data lies where the file does.

        Raises
        ------
        TaggerError
            If onnxruntime does not load it.
        """
        import onnxruntime as ort

        own = {k.removeprefix(PROVIDER_PREFIX): v for k, v in self.settings.items() if k.startswith(PROVIDER_PREFIX)}
        chosen = options or self.options()
        if data is not None:
            folder = "session.model_external_initializers_file_folder_path"
            chosen.add_session_config_entry(folder, str(path.resolve().parent))
        try:
            return ort.InferenceSession(str(path) if data is None else data, chosen, providers=[(self.provider, own)])
        except Exception as error:
            raise TaggerError(
                f"{path}: onnxruntime does not load it with {self.name}: {first_sentence(error)}; "
                "check the model and the settings"
            ) from error


def runtime_name() -> str:
    """What runs the models, with its version."""
    import onnxruntime as ort

    return f"onnxruntime {ort.__version__}"


def setting_of(text: str) -> tuple[str, str]:
    """Name and value of ``K=V``, checked.

    Raises
    ------
    TaggerError
        If no setting has the name, or it does not take the value.

    Examples
    --------
    >>> setting_of("enable_mem_pattern=off")
    ('enable_mem_pattern', '0')
    """
    name, equals, value = (part.strip() for part in text.partition("="))
    if not equals or not value:
        raise TaggerError(f"the setting {text!r} has no value; write it as NAME=VALUE")
    if name.startswith(PROVIDER_PREFIX) and len(name) > len(PROVIDER_PREFIX):
        return name, value
    if name not in SETTINGS:
        # The nearest name, however far it is.
        nearest = [*close_matches(name, SETTINGS, 1), *difflib.get_close_matches(name, SETTINGS, 1, 0.0)][0]
        raise TaggerError(
            f"no setting {name!r} of onnxruntime is known to do anything; the nearest is {nearest!r}, "
            "and onnx-tagger profile --list-settings lists all"
        )
    return name, _value(name, value)


def _value(name: str, value: str) -> str:
    kind = SETTINGS[name].kind
    if kind == "flag":
        if value.lower() not in (*_ON, *_OFF):
            raise TaggerError(f"the setting {name!r} is on or off, not {value!r}; give 1 or 0")
        return "1" if value.lower() in _ON else "0"
    if kind == "count" and not value.isdecimal():
        raise TaggerError(f"the setting {name!r} takes a whole number, not {value!r}")
    if name == "execution_mode" and value not in ("sequential", "parallel"):
        raise TaggerError(f"the execution mode is {value!r}; choose sequential or parallel")
    return value


def setups_of(levels: Sequence[str], changes: Iterable[str], provider: str | None, threads: int) -> list[Setup]:
    """The ways to run a model that are compared: each level, then the first one with each change.

    Parameters
    ----------
    levels : sequence of str
        Of `LEVELS`; none for ``all``.
    changes : iterable of str
        Settings ``K=V``, several in one parted by commas.
    provider : str, optional
        An execution provider, with or without ``ExecutionProvider`` behind it.
    threads : int

    Raises
    ------
    TaggerError
        If a level, a setting or the provider is not known, or one way is asked for twice.
    """
    unknown = next((level for level in levels if level not in LEVELS), None)
    if unknown is not None:
        choice = f"choose from {', '.join(LEVELS)}"
        raise TaggerError(f"no optimisation level is {unknown!r}: {advice_on(str(unknown), LEVELS, choice)}")
    if threads < 0:
        raise TaggerError(f"{threads} threads cannot run anything; give 1 or more, or 0 for onnxruntime's own choice")
    runs_on = provider_of(provider)
    made = [Setup(level, runs_on, threads) for level in levels or ("all",)]
    for change in changes:
        settings = dict(setting_of(part) for part in change.split(","))
        made.append(Setup(made[0].level, runs_on, threads, settings))
    names = [setup.name for setup in made]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise TaggerError(f"{twice!r} is asked for twice; give each level and each setting once")
    return made


def provider_of(name: str | None) -> str:
    """The full name of an execution provider that this onnxruntime has.

    Raises
    ------
    TaggerError
        If it has none of that name.
    MissingExtraError
        If onnxruntime is not installed.
    """
    require("onnxruntime", "ort", "profiling")
    import onnxruntime as ort

    known = ort.get_available_providers()
    by_word = {word.lower(): full for full in known for word in (full, full.removesuffix("ExecutionProvider"))}
    wanted = name or "CPU"
    if wanted.lower() not in by_word:
        have = ", ".join(full.removesuffix("ExecutionProvider") for full in known)
        raise TaggerError(f"onnxruntime has no provider {wanted!r} here; choose from {have}")
    return str(by_word[wanted.lower()])
