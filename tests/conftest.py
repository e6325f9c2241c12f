"""Every test runs on the CPU, with JAX at its strictest about mixing number types."""

import os
from importlib import metadata
from pathlib import Path

# Before anything imports JAX: it reads these once.
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["JAX_NUMPY_DTYPE_PROMOTION"] = "strict"
os.environ["JAX_NUM_CPU_DEVICES"] = "2"
# Compiling is most of what the tests take: it is at XLA's lowest level (proofs run long, so the Makefile
# leaves them XLA's own), and what has been compiled is kept, as the command line keeps it. The older emitter
# of loops compiles in half the time; XLAs after JAX 0.10 have it no more, and stop at the flag.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_backend_optimization_level=0"
    + " --xla_cpu_use_fusion_emitters=false" * metadata.version("jaxlib").startswith("0.10."),
)
os.environ["JAX_COMPILATION_CACHE_DIR"] = str(Path(__file__).parent.parent / "build/compiled")
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.1"
# Gymnasium's drawing opens a window and prints a greeting otherwise.
os.environ["SDL_VIDEODRIVER"] = "dummy"
os.environ["PYGAME_HIDE_SUPPORT_PROMPT"] = "1"

from collections.abc import Iterator
from typing import Any

import pytest

import browser
import postgres
import walkers
from stores import Place


@pytest.fixture(scope="session")
def server() -> Iterator[postgres.Server]:
    """A PostgreSQL server; where none is installed its tests are skipped, or fail if they must not be."""
    if lacking := postgres.lacking():
        if os.environ.get("AIGA_REQUIRE_POSTGRES"):
            pytest.fail(lacking)
        pytest.skip(lacking)
    with postgres.serve() as server:
        yield server


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def shelf(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Room for the runs of a module in either store."""
    folder = tmp_path_factory.mktemp("runs")
    if request.param == "sqlite":
        return Place(folder)
    server = request.getfixturevalue("server")
    return Place(folder, server, server.create())


@pytest.fixture
def place(shelf: Place, tmp_path: Path) -> Place:
    """Room for the runs of one test in either store."""
    return shelf.empty(tmp_path)


@pytest.fixture(scope="session")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A small run of POET on walkers, `walkers.NAME`. Not to be changed: take a copy."""
    place = Place(tmp_path_factory.mktemp("walked"))
    walkers.work(place, walkers.ITERATIONS)
    return place


# Not for the session: an event loop runs while it is open, which libraries of other tests do not expect.
@pytest.fixture(scope="module")
def chrome() -> Iterator[Any]:
    """A browser; where none is installed its tests are skipped, or fail if they must not be."""
    with browser.started() as started:
        yield started


@pytest.fixture
def served(walked: Place, tmp_path: Path) -> Iterator[browser.Served]:
    """`aiga view` on a copy of `walked`, its `folder` the runs'."""
    with browser.served(walked.copy(tmp_path).folder) as served:
        yield served


@pytest.fixture
def tab(chrome: Any) -> Iterator[browser.Tab]:
    """A window of a visitor who was never here before."""
    with browser.opened(chrome) as tab:
        yield tab
