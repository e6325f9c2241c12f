"""The page's server on a socket: alone, or as a process of its own beside a run."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING
from urllib.parse import quote

from aiga.viewer.app import Page, application

if TYPE_CHECKING:
    import uvicorn

PORT = 8421  # the first that is tried
PARENT = "AIGA_PARENT"  # of a page that goes with a run, its process
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


def serve(page: Page, listen: str, port: int | None, told: Callable[[str], None]) -> None:
    """Answers until it is interrupted. `told` gets the address to open.

    Elsewhere than on the loopback address everybody is asked for a token, which is part of that address; with
    AIGA_TOKEN in the environment, there too. Raises OSError where it cannot listen.
    """
    import uvicorn

    local = listen in ("127.0.0.1", "localhost", "::1")
    token = os.environ.get("AIGA_TOKEN") or (None if local else secrets.token_urlsafe(18))
    app = application(page, hosts=None if token else LOOPBACK, token=token)
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, lifespan="off", timeout_graceful_shutdown=1
    )
    with bound(listen, port) as server:
        number = server.getsockname()[1]
        name = listen if listen not in ("0.0.0.0", "::") else socket.gethostname()
        name = f"[{name}]" if ":" in name else name
        told(f"http://{name}:{number}/" + (f"?token={quote(token)}" if token else ""))
        running = uvicorn.Server(config)
        if PARENT in os.environ:
            threading.Thread(target=_end_with_parent, args=(running,), daemon=True).start()
        with suppress(KeyboardInterrupt):
            running.run(sockets=[server])


@contextmanager
def bound(listen: str, port: int | None) -> Iterator[socket.socket]:
    """A socket that listens on `port`, or on the first free one from PORT on."""
    family = socket.AF_INET6 if ":" in listen else socket.AF_INET
    for number in [port] if port is not None else [*range(PORT, PORT + 50), 0]:
        server = socket.socket(family, socket.SOCK_STREAM)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            server.bind((listen, number))
            server.listen(128)
        except OSError:
            server.close()
            if number == port or number == 0:
                raise
            continue
        with server:
            yield server
        return


@contextmanager
def beside(options: Sequence[str]) -> Iterator[None]:
    """`aiga view` with these options in a process of its own while the block runs, and no longer: whatever
    happens to the page, the run does not notice."""
    command = [sys.executable, "-m", "aiga", "view", *options]
    # A session of its own: Ctrl-C is for the run, which ends the page when it has come to a safe point.
    process = subprocess.Popen(command, start_new_session=True, env={**os.environ, PARENT: str(os.getpid())})
    try:
        yield
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(5)


def _end_with_parent(server: uvicorn.Server) -> None:
    """A page that a run opened ends with it, also when the run was killed and could not say so."""
    parent = int(os.environ[PARENT])
    while os.getppid() == parent:
        time.sleep(1)
    server.should_exit = True
