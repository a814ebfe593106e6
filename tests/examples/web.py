"""A web server on the loopback that serves bytes by ranges, slowly and with faults where a test asks for it."""

from __future__ import annotations

import http.server
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

_BOUNDARY = "parts-of-a-file"


@dataclass
class Web:
    """What a server serves, and how.

    `fault` is asked before each answer with the number of the request, and names what goes wrong with it: ``cut``,
    ``short``, ``long``, ``shifted``, ``unranged``, a status such as ``503``, or ``429:SECONDS``.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    latency: float = 0.0
    ranges: bool = True
    together: bool = True
    etag: Callable[[int], str] = lambda _: '"v1"'
    fault: Callable[[int], str] = lambda _: ""
    requests: list[str] = field(default_factory=list)
    sent: int = 0
    address: str = ""

    def url(self, path: str) -> str:
        return f"{self.address}/{path}"


def _handler(web: Web) -> type[http.server.BaseHTTPRequestHandler]:  # noqa: C901 - one small class
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # else the body waits 40 ms for the headers to be acknowledged

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            number = len(web.requests)
            wanted = self.headers.get("Range", "")
            web.requests.append(wanted)
            time.sleep(web.latency)
            data = web.files.get(self.path.partition("?")[0].lstrip("/"))
            fault = web.fault(number)
            if data is None or re.match(r"\d", fault):
                status, _, pause = fault.partition(":")
                self.answer(int(status or 404), b"", {"Retry-After": pause} if pause else {})
            elif not wanted or not web.ranges or fault == "unranged":
                self.answer(200, data, {"ETag": web.etag(number)})
            else:
                self.ranges(data, wanted.partition("=")[2], {"ETag": web.etag(number)}, fault)

        def ranges(self, data: bytes, text: str, headers: dict[str, str], fault: str) -> None:
            spans = [tuple(map(int, part.split("-"))) for part in text.split(",")]
            if len(spans) > 1 and not web.together:
                self.answer(200, data, headers)
            elif len(spans) > 1:
                body = b"".join(
                    f"\r\n--{_BOUNDARY}\r\nContent-Range: bytes {a}-{b}/{len(data)}\r\n\r\n".encode() + data[a : b + 1]
                    for a, b in spans
                )
                kind = {"Content-Type": f"multipart/byteranges; boundary={_BOUNDARY}"}
                self.answer(206, body + f"\r\n--{_BOUNDARY}--\r\n".encode(), headers | kind)
            else:
                first, last = spans[0][0], min(spans[0][1], len(data) - 1)
                if first > last:
                    self.answer(416, b"", headers)
                    return
                body = data[first : last + 1]
                place = f"bytes {first + (fault == 'shifted')}-{last + (fault == 'shifted')}/{len(data)}"
                body = {"short": body[:-1], "long": body + b"x"}.get(fault, body)
                self.answer(206, body, headers | {"Content-Range": place}, cut=fault == "cut")

        def answer(self, status: int, body: bytes, headers: dict[str, str], cut: bool = False) -> None:
            self.send_response(status)
            for name, value in headers.items():
                if value:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            try:
                self.wfile.write(body[: len(body) // 2] if cut else body)
                web.sent += len(body)
            except OSError:  # the reader went away, as it may
                self.close_connection = True
            if cut:
                self.wfile.flush()
                self.connection.close()
                self.close_connection = True

    return Handler


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Connections that a test cuts are no news."""


@contextmanager
def serving(web: Web) -> Iterator[Web]:
    """Serve in a thread while the block runs."""
    server = _Server(("127.0.0.1", 0), _handler(web))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    web.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield web
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
