"""Requests made up from the page's own description: none is a fault, every answer is as described."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi import checks
from starlette.testclient import TestClient

import walkers
from aiga.runs import store as stored
from aiga.viewer import app
from aiga.viewer.app import application
from aiga.viewer.serving import LOOPBACK
from aiga.worlds.walker.course import Genes
from aiga.worlds.walker.space import grow
from stores import Place
from test_candidates import heights

DRAWN = heights(grow(Genes(roughness=1.0, seed=4)))
CHECKS = [
    schemathesis.checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]
SCHEMA = schemathesis.openapi.from_path(Path(app.__file__).parent / "schema.json")
# A feed has no end.
READING = SCHEMA.exclude(path_regex="feed$").exclude(path_regex="candidates$", method="POST")
SENDING = SCHEMA.include(path_regex="candidates$", method="POST")
QUIET: dict[str, Any] = {
    "deadline": None,
    "database": None,
    "suppress_health_check": list(HealthCheck),
    "derandomize": True,
}


@contextmanager
def looked_at(walked: Place, folder: Path, written: set[str]) -> Iterator[TestClient]:
    """The page on a copy of the run, of which nothing but `written` may change."""
    place = walked.copy(folder)
    before = tables(place)
    yield TestClient(application(walkers.page(place), hosts=LOOPBACK), base_url="http://127.0.0.1:8421")
    after = tables(place)
    assert {name for name in before if before[name] != after[name]} == written


@pytest.fixture(scope="module")
def page(walked: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with looked_at(walked, tmp_path_factory.mktemp("read"), set()) as page:
        yield page


@pytest.fixture(scope="module")
def letterbox(walked: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with looked_at(walked, tmp_path_factory.mktemp("sent"), {"candidates"}) as page:
        yield page


def tables(place: Place) -> dict[str, Any]:
    with place.open(walkers.NAME) as store:
        return {name: store.rows(name) for name in stored.metadata.tables}


def nearer(case: Any) -> None:
    """Most of what is made up asks for what is there: chance alone would hardly ever find it."""
    known, pairs = case.path_parameters, case.query.get("pair")
    if len(str(known.get("run", ""))) > 1:
        known["run"] = walkers.NAME
    if str(known.get("id", "")).isdecimal():
        known["id"] = int(known["id"]) % 9
    if len(str(known.get("path", ""))) % 2:
        known["path"] = "main.js"
    if isinstance(pairs, list) and len(pairs) % 2:
        case.query["pair"] = [f"{i % 6}~{i % 5}~{len(str(pair))}" for i, pair in enumerate(pairs)]
    elif isinstance(pairs, str) and len(pairs) % 2:
        case.query["pair"] = "1~0~3"
    if isinstance(case.body, dict) and len(case.body) % 2 == 0:
        case.body["course"] = DRAWN
        if isinstance(agents := case.body.get("agents"), list):
            case.body["agents"] = [str(i % 6) for i in range(len(agents))]


def ask(page: TestClient, case: Any) -> Any:
    nearer(case)
    words = case.as_transport_kwargs(base_url="http://127.0.0.1:8421")
    words.pop("cookies", None)
    if isinstance(words.get("data"), str | bytes):
        words["content"] = words.pop("data")
    answer = page.request(**words)
    case.validate_response(answer, checks=CHECKS)
    return answer


def test_every_question_is_described(walked: Place) -> None:
    SCHEMA.validate()
    served: Any = application(walkers.page(walked), hosts=LOOPBACK)
    asked = {
        (route.path.replace(":path", ""), method)
        for route in served.app.routes
        for method in route.methods - {"HEAD"}
    }
    described = {
        (path, method.upper()) for path, each in SCHEMA.raw_schema["paths"].items() for method in each
    }
    assert described == asked


@READING.parametrize()
@settings(max_examples=8, **QUIET)
def test_every_answer_is_as_described(case: Any, page: TestClient) -> None:
    ask(page, case)


@SENDING.parametrize()
@settings(max_examples=40, **QUIET)
def test_what_is_sent_is_answered_as_described(case: Any, letterbox: TestClient) -> None:
    ask(letterbox, case)


@pytest.mark.proof
@READING.parametrize()
@settings(max_examples=300, **QUIET)
def test_every_answer_is_as_described_at_length(case: Any, page: TestClient) -> None:
    ask(page, case)


@pytest.mark.proof
@SENDING.parametrize()
@settings(max_examples=300, **QUIET)
def test_what_is_sent_is_answered_as_described_at_length(case: Any, letterbox: TestClient) -> None:
    ask(letterbox, case)
