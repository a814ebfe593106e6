"""The keys of node and model metadata: our own, torch's, and those of the other conventions that are written.

What their values mean and how they are written is said in `metadata`; what others wrote is read in `dialects`.
"""

from __future__ import annotations

PREFIX = "pkg.onnx_tagger."
TAG = PREFIX + "tag"
MODULE = PREFIX + "module"
SOURCE = PREFIX + "source"
# What the tag rests on, where it was asked for.
EVIDENCE = PREFIX + "evidence"
ORIGINS = PREFIX + "origins"
CALL = PREFIX + "call"
# Keys of dialects that were on a node before us and say what we would say: they are not ours to remove.
FOREIGN = PREFIX + "foreign"
# What torch's exporter had written under keys of dialects that were asked for: a JSON object of key to value.
REPLACED = PREFIX + "replaced"

VERSION = PREFIX + "version"
MAP = PREFIX + "map"
ALSO = PREFIX + "also"
# Why the map that the tags rest on should not have been taken, where a user insisted on it.
FORCED = PREFIX + "forced"
# Nothing but blanks: it shifts what follows so that weights keep their place in the pages of the file.
PAD = PREFIX + "pad"

# On a function that is the body of several modules: JSON object of path to class path, as from the module of a call on.
CLASSES = PREFIX + "classes"
# The domain of functions that are modules.
MODULES_DOMAIN = PREFIX + "modules"

NAMESPACE = "namespace"
LAYER_ANN = "layer_ann"
WINML_TAG = "winml.hierarchy.tag"
WINML_DEPTH = "winml.hierarchy.depth"
DOC_LINE = "onnx_tagger:"
TORCH_SCOPES = "pkg.torch.onnx.name_scopes"
TORCH_CLASSES = "pkg.torch.onnx.class_hierarchy"
TORCH_STACK = "pkg.torch.onnx.stack_trace"

# What onnxscript's rewriter notes on a node that it made of others, within torch's exporter, too.
REWRITE_RULE = "pkg.onnxscript.rewriter.rule_name"
