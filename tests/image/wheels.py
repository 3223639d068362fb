"""Tiny wheels, and an index that offers them on loopback (the simple repository API)."""

from __future__ import annotations

import base64
import hashlib
import threading
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


def make_wheel(
    folder: Path,
    name: str,
    version: str = "1.0",
    *,
    files: Mapping[str, str] | None = None,
    needs: tuple[str, ...] = (),
    tag: str = "py3-none-any",
    scripts: Mapping[str, str] | None = None,
) -> Path:
    """Write a wheel whose one module says its version."""
    info = f"{name}-{version}.dist-info"
    members = dict(files or {f"{name}.py": f"VERSION = {version!r}\n"})
    lines = [f"Requires-Dist: {need}" for need in needs]
    head = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    members[f"{info}/METADATA"] = "\n".join([*head, *lines, ""])
    pure = "true" if tag.endswith("none-any") else "false"
    members[f"{info}/WHEEL"] = f"Wheel-Version: 1.0\nRoot-Is-Purelib: {pure}\nTag: {tag}\n"
    if scripts:
        entries = [f"{script} = {target}" for script, target in scripts.items()]
        members[f"{info}/entry_points.txt"] = "\n".join(["[console_scripts]", *entries, ""])
    record = [f"{path},sha256={_digest(text)},{len(text)}" for path, text in members.items()]
    members[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,", ""])
    wheel = folder / f"{name}-{version}-{tag}.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in members.items():
            archive.writestr(zipfile.ZipInfo(path), text)
    return wheel


def _digest(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def sha256(path: Path) -> str:
    """Return a file's digest in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Index:
    """A package index of what lies in a folder.

    Attributes
    ----------
    folder : Path
        Put wheels here.
    url : str
    broken : set of str
        Wheels of which half arrives.
    asked : list of str
        The wheels that were asked for.
    login : str
        Who may ask, and the password; empty for everybody.
    is_silent : bool
        Whether it takes requests and answers none.
    is_stuck : bool
        Whether it sends the half of a wheel, and no more.
    reached : Event
        Set by the first request.
    stuck : Event
        Set once the half of a wheel has been sent.
    """

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.url = url
        self.broken: set[str] = set()
        self.asked: list[str] = []
        self.login = ""
        self.is_silent = False
        self.is_stuck = False
        self.reached = threading.Event()
        self.stuck = threading.Event()
        self.ended = threading.Event()

    def environ(self) -> dict[str, str]:
        """Return what makes uv look here, and nowhere else."""
        return {"UV_DEFAULT_INDEX": f"{self.url}/simple", "UV_NO_CACHE": "1"}

    def page(self, name: str) -> str:
        """Return the page of a distribution, or nothing where there is none."""
        found = [
            path
            for path in sorted(self.folder.glob("*.whl"))
            if path.name.partition("-")[0].replace("_", "-").lower() == name
        ]
        links = (
            f'<a href="/files/{path.name}#sha256={sha256(path)}">{path.name}</a>' for path in found
        )
        return f"<!DOCTYPE html><html><body>{''.join(links)}</body></html>" if found else ""


@contextmanager
def serve_index(folder: Path) -> Iterator[Index]:
    """Serve a folder of wheels."""

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            index.reached.set()
            if index.is_silent:
                index.ended.wait()
                return
            own = "Basic " + base64.b64encode(index.login.encode()).decode()
            if index.login and self.headers["Authorization"] != own:
                self.send_response(401)
                self.send_header("Content-Length", "0")
                self.send_header("WWW-Authenticate", 'Basic realm="index"')
                self.end_headers()
                return
            kind, _, name = self.path.partition("?")[0].strip("/").partition("/")
            data = b""
            if kind == "simple":
                data = index.page(name).encode()
            elif kind == "files" and (folder / name).exists():
                index.asked.append(name)
                data = (folder / name).read_bytes()
            self.send_response(200 if data else 404)
            self.send_header("Content-Type", "text/html" if kind == "simple" else "application/zip")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            is_half = name in index.broken or (kind == "files" and index.is_stuck)
            self.wfile.write(data[: len(data) // 2] if is_half else data)
            if kind == "files" and index.is_stuck:
                index.stuck.set()
                index.ended.wait()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        index = Index(folder, f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield index
        finally:
            index.ended.set()
            server.shutdown()
            thread.join()
