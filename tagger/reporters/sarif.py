"""What a check found as SARIF 2.1.0, the form that code scanning reads: a result for each rule, module and operator.

Source: OASIS, Static Analysis Results Interchange Format (SARIF) Version 2.1.0.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import PurePath
from typing import TextIO
from urllib.parse import quote

from onnx_tagger.model.findings import RULES, Finding, Rule, findings_of
from onnx_tagger.model.gated import Gated
from onnx_tagger.model.verdict import Verdict
from onnx_tagger.reporters.jsonform import safe
from onnx_tagger.reporters.terminal import shortened
from onnx_tagger.version import version

# Nodes that the message of a result names.
_NAMED = 5


def render(verdict: Verdict, out: TextIO) -> None:
    """Write a log with one run: what falls short in one file."""
    _write(findings_of(verdict), out)


def render_many(gated: Gated, out: TextIO) -> None:
    """Write a log with one run: what falls short in all files."""
    _write(gated.findings, out)


def _write(findings: Iterable[Finding], out: TextIO) -> None:
    groups: dict[tuple[str, str, str, str], list[Finding]] = {}
    for each in findings:
        groups.setdefault((each.file, each.rule.id, each.module or each.graph, each.operator), []).append(each)
    driver = {"name": "onnx-tagger", "version": version(), "rules": [_rule(rule) for rule in RULES]}
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(group) for group in groups.values()],
    }
    log = {"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": [run]}
    out.write(safe(json.dumps(log, ensure_ascii=False, indent=1)) + "\n")


def _rule(rule: Rule) -> dict[str, object]:
    return {
        "id": rule.id,
        "name": rule.name,
        "shortDescription": {"text": rule.says},
        "help": {"text": rule.advice},
        "defaultConfiguration": {"level": "error"},
    }


def _result(group: list[Finding]) -> dict[str, object]:
    first = group[0]
    # A file of bytes has no lines; viewers insist on one.
    place = {"artifactLocation": {"uri": _uri(first.file)}, "region": {"startLine": 1}}
    nodes = [{"name": each.name or each.node, "fullyQualifiedName": each.node, "kind": "element"} for each in group]
    location: dict[str, object] = {"physicalLocation": place}
    if first.node:
        location["logicalLocations"] = nodes[:_NAMED]
    return {
        "ruleId": first.rule.id,
        "ruleIndex": RULES.index(first.rule),
        "level": "error",
        "message": {"text": shortened(_message(group))},
        "locations": [location],
        "partialFingerprints": {"onnxTagger/v1": first.fingerprint},
        "properties": {"nodes": len(group), "operator": first.operator, "module": first.module},
    }


def _message(group: list[Finding]) -> str:
    more = f" (and {len(group) - _NAMED} more)" if len(group) > _NAMED else ""
    return "; ".join(each.says for each in group[:_NAMED]) + more + ". " + group[0].rule.advice


def _uri(file: str) -> str:
    """A path as a reference by which viewers find the file in a repository."""
    return quote(PurePath(file).as_posix(), safe="/:")
