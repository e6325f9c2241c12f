"""The house keeps its own rules: one-way imports, a quick command line, pinned versions, honest papers."""

import re
import resource
import shlex
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path

import pytest

import browser
from aiga import cli
from aiga.cli import settings
from aiga.registry import SYSTEMS

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def committed() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def test_imports_run_one_way() -> None:
    lint = subprocess.run(
        [str(BIN / "lint-imports"), "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert lint.returncode == 0, lint.stdout + lint.stderr


def test_the_modules_of_the_page_fit_together() -> None:
    tsc = ROOT / "build" / "tsc" / "node_modules" / "typescript" / "bin" / "tsc"
    if not tsc.exists():
        browser.lacking("TypeScript is not installed: make typescript")
    checked = subprocess.run([browser.node(), tsc], cwd=ROOT, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_help_is_quick() -> None:
    """Processor time, the best of a few: a busy machine must not fail it, a heavy import must."""

    def seconds() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([str(BIN / "aiga"), "--help"], stdout=subprocess.PIPE, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(seconds() for _ in range(5)) < 0.3


def test_help_starts_neither_jax_nor_numpy() -> None:
    program = (
        "import sys, aiga.cli\n"
        "try: aiga.cli.main(['--help'])\n"
        "except SystemExit: pass\n"
        "sys.exit(' '.join(sorted({'jax', 'numpy', 'sqlalchemy'} & set(sys.modules))) or 0)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, f"imported on the way to --help: {ran.stderr}"


@pytest.mark.parametrize("minor", [11, 12, 13])
def test_every_dependency_is_pinned(minor: int) -> None:
    pins = (ROOT / "constraints" / f"py3{minor}.txt").read_text().split()
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9][\w.]*", pin) for pin in pins)
    pinned = {pin.partition("==")[0] for pin in pins}
    project = PYPROJECT["project"]
    asked = [*project["dependencies"], *(d for e in project["optional-dependencies"].values() for d in e)]
    names = {re.split(r"[\[<>=; ]", dependency)[0].lower().replace("_", "-") for dependency in asked}
    assert names - {"aiga"} <= pinned


def test_the_archive_has_all_of_the_checkout(tmp_path: Path) -> None:
    """What is left out of it is missing in the wheel too."""
    program = "import sys, scikit_build_core.build as build; build.build_sdist(sys.argv[1])"
    built = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    (archive,) = tmp_path.iterdir()
    with tarfile.open(archive) as files:
        has = {name.partition("/")[2] for name in files.getnames()}
    ours = {str(path.relative_to(ROOT)) for path in committed()}
    assert {name for name in ours if not name.startswith((".ci/", ".github/"))} <= has


def test_no_address_of_a_registry_and_no_path_of_a_machine() -> None:
    # Written so that this file does not match itself.
    forbidden = re.compile(
        r"://[^\s/]*(?:[p]ypi|[p]ythonhosted|[n]pmjs|[a]rtifactory)|[-]-(?:extra-)?index-url|[-]-find-links"
        r"|(?<![\w.])/(?:[w]ork|[r]oot|[o]pt|[h]ome/\w+|[U]sers/\w+)/"
    )
    found = []
    for path in committed():
        data = path.read_bytes()
        if b"\0" in data:
            continue
        for number, line in enumerate(data.decode().splitlines(), 1):
            if forbidden.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()}")
    assert not found, "\n".join(found)


def documents() -> list[Path]:
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def commands(document: Path) -> str:
    """What it has in blocks of commands and between backticks, one a line."""
    text = document.read_text().replace("\\\n", "")
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    return "\n".join([*blocks, *re.findall(r"`([^`\n]+)`", text)])


@pytest.mark.parametrize("document", documents(), ids=lambda path: path.name)
def test_commands_in_the_papers_exist(document: Path) -> None:
    code = commands(document)
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"^make ([a-z]+)", code, re.MULTILINE)) <= targets

    usage = subprocess.run([str(BIN / "aiga"), "--help"], capture_output=True, text=True, check=True).stdout
    for command in set(re.findall(r"^aiga ([a-z]+)", code, re.MULTILINE)):
        assert re.search(rf"\b{command}\b", usage), f"aiga {command} is not in aiga --help"


@pytest.mark.parametrize(
    "document", [path for path in documents() if path.name != "log.md"], ids=lambda path: path.name
)
def test_runs_in_the_papers_would_begin(document: Path) -> None:
    """Their system, preset and fields. The log is history, and a system in a file is the reader's own."""
    for line in re.sub(r"\$\w+", "0", commands(document)).splitlines():
        if not (command := re.search(r"\baiga (run [a-z][a-z0-9-]*(?: .*|$))", line)) or "SYSTEM" in line:
            continue
        own, flags = cli._split_flags(shlex.split(command[1].partition(";")[0], comments=True))
        options = cli._parser().parse_args(own)
        if options.system.endswith(".py"):
            continue
        default = SYSTEMS[options.system].config()
        kind, preset = type(default), options.preset
        chosen = settings.from_preset(kind, options.system, preset) if preset else {}
        settings.resolve(default, chosen, settings.from_flags(kind, flags))


@pytest.mark.parametrize("document", documents(), ids=lambda path: path.name)
def test_links_between_the_papers_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", document.read_text())
    missing = [link for link in links if "://" not in link and not (document.parent / link).exists()]
    assert not missing
