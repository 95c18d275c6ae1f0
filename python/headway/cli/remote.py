"""Calling a running server: its address, a token, and answers or errors.

A token of this machine's own folder is only ever sent to this machine.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote, urlsplit

from headway.errors import HeadwayError
from headway.server.problems import ServerError

if TYPE_CHECKING:
    import httpx

DEFAULT_SERVER = "http://127.0.0.1:7700"
FOLDER = ".headway"
TOKEN_BYTES = 1024
"""Of a token file; a longer one holds no token."""

WAIT_S = 30.0
"""Seconds a server may take to answer."""

Kind = Literal["local", "approver"]


class Remote:
    """One server, as one token sees it. A context manager."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def __enter__(self) -> Remote:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def get(self, path: str, **query: Any) -> Any:
        """What a path answers. HeadwayError with the server's own words, or HW430, HW434."""
        return self._call("GET", path, params={name: value for name, value in query.items() if value is not None})

    def post(
        self, path: str, body: Mapping[str, Any], *, headers: Mapping[str, str] | None = None, **query: Any
    ) -> Any:
        """Posts JSON; otherwise as `get`."""
        return self._call("POST", path, params=query, json=dict(body), headers=dict(headers or {}))

    def post_bytes(self, path: str, body: bytes, headers: Mapping[str, str], **query: Any) -> Any:
        """Posts bytes of a kind that `headers` name; otherwise as `get`."""
        told = {name: value for name, value in query.items() if value is not None}
        return self._call("POST", path, params=told, content=body, headers=dict(headers))

    def _call(self, method: str, path: str, **request: Any) -> Any:
        import httpx

        try:
            response = self._client.request(method, path, **request)
        except httpx.HTTPError as error:
            raise ServerError("HW430", f"no answer from {self._client.base_url}: {error}") from error
        return _answer_of(response)


def connect(server: str | None, token_file: Path | None, *, kind: Kind = "local") -> Remote:
    """A server by `--server` or HEADWAY_URL, with the token of `--token-file`, HEADWAY_TOKEN, or this folder.

    Args:
        kind: Which of the two local tokens to take.

    Raises:
        ServerError: HW431 without a token; HW433 for an address that is none.
    """
    url = server or os.environ.get("HEADWAY_URL") or DEFAULT_SERVER
    host = _host_of(url)
    if host is None:
        raise ServerError("HW433", "the server's address is not http://HOST:PORT or https://HOST:PORT")
    return Remote(client_of(url.rstrip("/"), _token(host, token_file, kind)))


def client_of(url: str, token: str) -> httpx.Client:
    """The HTTP client: no redirects, no proxy of the environment on loopback, bounded waits."""
    import httpx

    local = _is_loopback(urlsplit(url).hostname or "")
    headers = {"authorization": f"Bearer {token}", "user-agent": "headway-cli"}
    return httpx.Client(base_url=url, headers=headers, timeout=WAIT_S, follow_redirects=False, trust_env=not local)


def folder_here() -> Path | None:
    """The data folder of this working directory, or of one above it."""
    here = Path.cwd()
    return next((place / FOLDER for place in (here, *here.parents) if (place / FOLDER).is_dir()), None)


def in_path(name: str) -> str:
    """A name as one segment of a path."""
    return quote(name, safe=":")


def _host_of(url: str) -> str | None:
    """The host of an address that can be called; None for any other text. A name and password in it are none."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.username is None and parts.port != 0
    except ValueError:
        return None
    return parts.hostname if usable else None


def _token(host: str, token_file: Path | None, kind: Kind) -> str:
    from headway.server.access import read_token

    if token_file is not None:
        return token_in(token_file)
    if token := os.environ.get("HEADWAY_TOKEN", "").strip():
        return _sendable(token, "HEADWAY_TOKEN")
    folder = folder_here() if _is_loopback(host) else None
    if folder is None or not (folder / "tokens" / kind).exists():
        raise ServerError("HW431", f"there is no token to call {host} with", mend=_mend(host))
    return read_token(folder / "tokens" / kind)


def _mend(host: str) -> str:
    """Who has no token for this machine has most often started no server here yet."""
    if not _is_loopback(host):
        return "Give `--token-file FILE`, or set HEADWAY_TOKEN; the tokens of this folder are for this machine alone."
    return (
        "Start a server with `headway serve PATH`, which makes one; run this where that server's folder is; or give "
        "`--token-file FILE`, or set HEADWAY_TOKEN."
    )


def token_in(path: Path) -> str:
    """The token in a file that the caller names; whoever names it answers for its mode. HW431 where there is none."""
    try:
        with path.open("rb") as file:
            token = file.read(TOKEN_BYTES).decode("ascii", "replace").strip()
    except OSError as error:
        raise ServerError("HW431", f"the token file {path} cannot be read: {error.strerror}") from error
    return _sendable(token, f"the token file {path}")


def _sendable(token: str, where: str) -> str:
    """A token fit for a header; the text of one that is not is never shown."""
    from headway.server.access import TOKEN_MOST

    if not token or not token.isascii() or not token.isprintable() or " " in token or len(token) > TOKEN_MOST:
        raise ServerError("HW431", f"{where} does not hold a token")
    return token


def _is_loopback(host: str) -> bool:
    from headway.server.listen import Address

    return Address(host, 0).loopback


def _answer_of(response: httpx.Response) -> Any:
    """The JSON of an answer, or the error it carries."""
    kind = response.headers.get("content-type", "").partition(";")[0].strip()
    if kind not in ("application/json", "application/problem+json"):
        raise ServerError(
            "HW434", f"{response.url.copy_with(query=None)} answered {response.status_code} as {kind or 'nothing'}"
        )
    try:
        answer = response.json()
    except ValueError as error:
        raise ServerError("HW434", f"{response.url.copy_with(query=None)} answered what is not JSON") from error
    if response.is_success:
        return answer
    if not isinstance(answer, dict) or "code" not in answer:
        raise ServerError("HW434", f"{response.url.copy_with(query=None)} answered {response.status_code}")
    texts = {name: str(answer.get(name) or "") for name in ("because", "mend", "where")}
    raise HeadwayError(str(answer.get("problem", "")), code=str(answer["code"]), **texts)
