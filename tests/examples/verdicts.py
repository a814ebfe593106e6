"""Reports as a check makes them, and their verdict in one of the forms."""

from io import StringIO

from onnx_tagger.model.report import Limits, Report
from onnx_tagger.model.verdict import Verdict
from onnx_tagger.reporters import render_verdict

BODY = "main/If_3.then_branch"


def report_of(
    nodes: int = 4,
    untagged: tuple[str, ...] = (),
    problems: tuple[str, ...] = (),
    limits: Limits | None = None,
    **sources: int,
) -> Report:
    report = Report(nodes=nodes, tagged=nodes - len(untagged), untagged=list(untagged))
    report.by_source |= sources
    report.by_graph = {"main": nodes - 1, BODY: 1} if nodes else {}
    report.judge(limits or Limits())
    report.failures.extend(problems)
    report.ok = not report.failures
    return report


OK = report_of(exported=4)


SHORT = report_of(untagged=("main#2 Add", f"{BODY}#0 Neg"), problems=("main#2 Add has no pkg.onnx_tagger.source",))


def rendered(form: str, file: str, report: Report, limits: Limits) -> str:
    out = StringIO()
    render_verdict(Verdict.of(file, report, limits), form, out)
    return out.getvalue().removesuffix("\n")
