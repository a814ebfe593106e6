"""Small files for fleets, and rows without what differs from run to run."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import onnx

from examples.tiny import TREE, tiny_model
from onnx_tagger.model.fleet import Row
from onnx_tagger.workflows.fleet.tables import read_rows
from onnx_tagger.workflows.retagging import retag, strip


def fleet_of(folder: Path, count: int, sample: Path | None = None) -> list[str]:
    """Tagged files, of which every fifth has no tags and the last is no model; all the same, or those of a sample."""
    folder.mkdir()
    if sample is None:
        onnx.save(tiny_model(), folder / "plain.bin")
        TREE.save(folder / "tiny.hierarchy.json")
        retag(folder / "plain.bin", folder / "tiny.hierarchy.json", folder / "tagged.bin")
    else:
        (folder / "tagged.bin").write_bytes(sample.read_bytes())
        strip(sample, folder / "plain.bin")
    plain, tagged = (folder / "plain.bin").read_bytes(), (folder / "tagged.bin").read_bytes()
    files = [folder / f"{number:04d}.onnx" for number in range(count)]
    for number, file in enumerate(files):
        file.write_bytes(b"no model" if number == count - 1 else plain if number % 5 == 4 else tagged)
    return list(map(str, files))


def told(path: Path) -> list[Row]:
    """The rows of a file but for times."""
    return [msgspec.structs.replace(row, seconds=0.0) for row in read_rows(path)]


@contextmanager
def silent_server() -> Iterator[str]:
    """The URL of a file of a server that takes requests and never answers."""
    over = threading.Event()

    class Silent(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            over.wait()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Silent)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/m.onnx"
    finally:
        over.set()
        server.shutdown()
        server.server_close()
