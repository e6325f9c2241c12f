"""A PostgreSQL server for the tests alone: Debian's package, its own data, gone afterwards."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PASSWORD = "Geheimnis+7"
ROOM = 1 << 30  # bytes
MISSING = "PostgreSQL is not installed: apt-get install postgresql"


def programs() -> Path | None:
    """The folder of the newest installed server's programs."""
    found = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if (path / "initdb").exists()]
    if found:
        return max(found, key=lambda path: float(path.parent.name))
    initdb = shutil.which("initdb")
    return Path(initdb).resolve().parent if initdb else None


def lacking() -> str | None:
    """What has to be installed before a server can be started and talked to."""
    if importlib.util.find_spec("psycopg") is None:
        return "the driver of PostgreSQL is not installed: pip install 'aiga[postgres]'"
    return None if programs() else MISSING


class Server:
    """A running server. `url` is that of its first database, `create` makes others."""

    def __init__(self, port: int):
        self.port = port
        self.made = 0

    def url(self, database: str = "postgres", password: str = PASSWORD) -> str:
        return f"postgresql://aiga:{password}@127.0.0.1:{self.port}/{database}"

    def create(self, template: str = "template1", options: str = "") -> str:
        """Makes a database, a copy of `template`; returns its name."""
        self.made += 1
        name = f"test{self.made}"
        self.say(f'CREATE DATABASE {name} TEMPLATE "{template}" {options}')
        return name

    def say(self, statement: str, database: str = "postgres") -> list[Any]:
        """Executes a statement as the administrator; returns its rows."""
        import psycopg

        with psycopg.connect(self.url(database), autocommit=True) as db:
            cursor = db.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []


@contextmanager
def serve() -> Iterator[Server]:
    """Starts a server on a free port of this machine; it refuses root, which lends it another name."""
    import psycopg

    bin = programs()
    assert bin is not None
    # In memory where there is room: copying a database takes a tenth of the time.
    memory = Path("/dev/shm")
    roomy = os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > ROOM
    folder = Path(tempfile.mkdtemp(prefix="aiga-postgres-", dir=memory if roomy else None))
    demoted: dict[str, Any] = {"cwd": folder}
    if os.geteuid() == 0:
        names = {entry.pw_name for entry in pwd.getpwall()}
        entry = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
        os.chown(folder, entry.pw_uid, entry.pw_gid)
        demoted |= {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    process = None
    try:
        (folder / "password").write_text(PASSWORD)
        (folder / "password").chmod(0o644)
        data = folder / "data"
        made = subprocess.run(
            [
                *(bin / "initdb", "-D", data, "-U", "aiga", "-A", "scram-sha-256"),
                *("--pwfile", folder / "password", "--no-sync", "--encoding", "UTF8", "--locale", "C.UTF-8"),
            ],
            capture_output=True,
            text=True,
            check=False,
            **demoted,
        )
        assert made.returncode == 0, made.stderr
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            server = Server(free.getsockname()[1])
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": server.port,
            "unix_socket_directories": folder,
            "fsync": "off",
            "full_page_writes": "off",
            "shared_buffers": "32MB",
        }
        with open(folder / "log", "w") as log:
            process = subprocess.Popen(
                [bin / "postgres", "-D", data, *(f"--{name}={value}" for name, value in settings.items())],
                stdout=log,
                stderr=log,
                **demoted,
            )
        limit = time.monotonic() + 60
        while True:
            try:
                server.say("SELECT 1")
                break
            except psycopg.OperationalError:
                assert process.poll() is None and time.monotonic() < limit, (folder / "log").read_text()
                time.sleep(0.05)
        yield server
    finally:
        if process is not None:
            process.send_signal(signal.SIGQUIT)
            process.wait()
        shutil.rmtree(folder)
