"""`nox -s tests` on every supported Python that is here; `nox -s types lint` once."""

import os
import shutil
import subprocess
from pathlib import Path

import nox

PROJECT = nox.project.load_toml("pyproject.toml")
SUPPORTED = nox.project.python_versions(PROJECT)

nox.needs_version = ">=2025.2.9"
nox.options.sessions = ["lint", "types", "tests"]
nox.options.error_on_missing_interpreters = True


def _works(program: str, version: str) -> bool:
    """A pyenv shim is on PATH for versions that it then refuses to run."""
    probe = [program, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    try:
        return subprocess.run(probe, capture_output=True, text=True, check=True).stdout.strip() == version
    except (OSError, subprocess.CalledProcessError):
        return False


def _found() -> list[str]:
    """The supported Pythons of this machine; those of pyenv are put on PATH for nox to find."""
    pyenv = Path(
        os.environ.get("PYENV_ROOT")
        or Path(shutil.which("pyenv") or "~/.pyenv/bin/pyenv").expanduser().parent.parent
    )
    found = []
    for version in SUPPORTED:
        places = [Path(place) for place in os.environ["PATH"].split(os.pathsep)]
        places += sorted(pyenv.glob(f"versions/{version}.*/bin"))
        for place in places:
            if _works(str(place / f"python{version}"), version) or _works(
                str(place / f"python{version}.exe"), version
            ):
                os.environ["PATH"] = f"{place}{os.pathsep}{os.environ['PATH']}"
                found.append(version)
                break
    return found


@nox.session(python=_found())
def tests(session: nox.Session) -> None:
    """The whole suite with branch coverage; words after `--` go to pytest."""
    # Editable: children started here import the package from this folder, and coverage must see one of it.
    session.install("--editable", ".", *nox.project.dependency_groups(PROJECT, "tests"))
    session.env["COVERAGE_FILE"] = str(Path(session.create_tmp()).resolve() / "coverage")
    # Hundreds of children import the package, and every worker the tests: compiled once, not each time.
    session.env["PYTHONDONTWRITEBYTECODE"] = ""
    session.run("coverage", "erase")
    # One more than there are cores: many wait for a child or a moment. Who is done takes from the others.
    workers = ("-n", str((os.cpu_count() or 2) + 1), "--dist", "worksteal")
    session.run("coverage", "run", "-m", "pytest", *workers, *session.posargs)
    session.run("coverage", "combine", "--quiet")
    if not session.posargs:
        session.run("coverage", "report")


@nox.session
def chaos(session: nox.Session) -> None:
    """Producers, servers and consumers killed over and over: nothing lost, nothing twice; `-- --short`."""
    session.install(".", *nox.project.dependency_groups(PROJECT, "tests"))
    session.run("python", "bench/chaos.py", *session.posargs)


@nox.session
def types(session: nox.Session) -> None:
    """mypy, strict."""
    session.install(".", *nox.project.dependency_groups(PROJECT, "types"))
    session.run("mypy")


@nox.session
def lint(session: nox.Session) -> None:
    """ruff: rules and format."""
    session.install(*nox.project.dependency_groups(PROJECT, "lint"))
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")


@nox.session
def bench(session: nox.Session) -> None:
    """Today's figures beside the goals, all rows or `-- 1 6 8`; into bench/results.json."""
    session.install(".", *nox.project.dependency_groups(PROJECT, "tests"))
    session.run("python", "bench/goals.py", *session.posargs)
