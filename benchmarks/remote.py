"""Looking at a file elsewhere: requests, bytes and seconds, from a web server on the loopback with latency.

python benchmarks/remote.py                  BERT-base (0.4 GB), exported here
python benchmarks/remote.py --file M.onnx    a file of your own
python benchmarks/remote.py --latency 100    milliseconds before each answer
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from measure import machine, table
from subjects import exported

import onnx_tagger as ot
from onnx_tagger.files.onnxfile import read_skeleton
from onnx_tagger.files.remote.readahead import RemoteReader

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from examples.web import Web, serving


def _looked_at(path: Path, latency: float, together: bool) -> list[str]:
    """Read the skeleton of a file once, over a connection of its own."""
    web = Web({"m.onnx": path.read_bytes()}, latency=latency, together=together)
    with serving(web):
        ot.read(web.url("m.onnx"))  # imports and the first connection are not what is measured
        web.sent = 0
        web.requests.clear()
        begin = time.perf_counter()
        reader = read_skeleton(web.url("m.onnx")).memory
        seconds = time.perf_counter() - begin
    assert isinstance(reader, RemoteReader)
    share = 100 * reader.ranges.received / reader.size
    how = "several ranges by one request" if together else "one range a request"
    return [how, str(reader.ranges.requests), f"{reader.ranges.received / 1e6:.2f}", f"{share:.2f}", f"{seconds:.2f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--file", type=Path)
    parser.add_argument("--latency", type=float, default=30.0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = given.file or exported("BERT-base", Path(folder)).path
        title = f"{path.name}, {path.stat().st_size / 1e6:.0f} MB, {given.latency:g} ms before each answer"
        rows = [_looked_at(path, given.latency / 1000, together) for together in (True, False)]
        table(title, ["the server answers", "requests", "MB", "% of the file", "s"], rows)
    print(machine())


if __name__ == "__main__":
    main()
