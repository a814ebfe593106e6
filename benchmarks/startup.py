"""What starting costs: importing the package, and a whole command on a small file, beside `import onnx` alone.

python benchmarks/startup.py
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from measure import interleaved, machine, table
from subjects import made

import onnx_tagger as ot


def started(*arguments: str | Path) -> Callable[[], object]:
    """A Python process with these arguments."""
    return lambda: subprocess.run([sys.executable, *arguments], check=True, capture_output=True)


def main() -> None:
    """Print the table."""
    print(machine())
    with tempfile.TemporaryDirectory(prefix="onnx-tagger-") as name:
        subject = made(100, Path(name))
        tagged = Path(name) / "tagged.onnx"
        ot.retag(subject.path, subject.map_path, tagged)
        ways = {
            "`import onnx`": started("-c", "import onnx"),
            "`import onnx_tagger`": started("-c", "import onnx_tagger"),
            "`import onnx, onnx_tagger`": started("-c", "import onnx, onnx_tagger"),
            "`onnx-tagger check` on 100 nodes": started("-m", "onnx_tagger", "check", tagged),
            "`onnx-tagger --help`": started("-m", "onnx_tagger", "--help"),
        }
        times = interleaved(ways, rounds=15)
    base = times["`import onnx`"]
    rows = [(name, series.shown(".3f"), series.minus(base).shown("+.3f")) for name, series in times.items()]
    table("starting", ("process", "seconds", "beyond `import onnx`, s"), rows)


if __name__ == "__main__":
    main()
