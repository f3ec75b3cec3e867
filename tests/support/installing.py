"""
Fresh virtual environments to install this project into.

An environment holds what the project needs, in one ``site-packages`` folder as
``pip`` would lay it out, and not the project itself.  The dependencies are
copied from the environment that runs the tests, so nothing is downloaded.
"""

from __future__ import annotations

import configparser
import os
import shutil
import subprocess
import sys
import venv
from hashlib import sha256
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

PROJECT = Path(__file__).resolve().parent.parent.parent

# Neither the version control's, nor made by a build, a tool or a run.
_NOT_SOURCE = shutil.ignore_patterns(
    ".*", "__pycache__", "*.egg-info", "build", "dist", "venv", "_build", "dropin.cache"
)


def copySource(target: Path) -> Path:
    """Copy the project's tree, without what builds and runs leave in it."""
    return Path(shutil.copytree(PROJECT, target, ignore=_NOT_SOURCE))


def build(kind: str, source: Path) -> Path:
    """
    Build a distribution of a source tree, with the tests' own setuptools.

    :param kind: ``sdist`` or ``wheel``.
    :returns: its path.
    """
    code = f"from setuptools.build_meta import *; print(build_{kind}('dist'))"
    result = _run([sys.executable, "-c", code], source)
    result.check_returncode()
    return source / "dist" / result.stdout.split()[-1]


def _requirements() -> list[Requirement]:
    """
    What ``setup.cfg`` says that a user needs, and what builds the package.

    :raises RuntimeError: if the environment that runs the tests has too old a
        version of something, and so cannot lend it.
    """
    setup = configparser.ConfigParser()
    setup.read(PROJECT / "setup.cfg", encoding="utf-8")
    lines = setup["options"]["install_requires"].split("\n")
    # A build without isolation takes setuptools from where it installs to.
    tests = setup["options.extras_require"]["test"].split("\n")
    lines += [line for line in tests if line.startswith("setuptools")]
    requirements = [Requirement(line) for line in lines if line]
    for requirement in requirements:
        version = metadata.version(requirement.name)
        if version not in requirement.specifier:
            raise RuntimeError(
                f"{requirement.name} is {version} here, but {requirement} is "
                "needed; install what the tests need: pip install -e '.[test]'"
            )
    return requirements


def _withDependencies(wanted: list[Requirement]) -> set[str]:
    """The names of the distributions that are wanted, and of all they need."""
    found: set[str] = set()
    seen: set[str] = set()
    while wanted:
        requirement = wanted.pop()
        if str(requirement) in seen:
            continue
        seen.add(str(requirement))
        found.add(requirement.name.lower())
        extras = requirement.extras or {""}
        for line in metadata.requires(requirement.name) or ():
            needed = Requirement(line)
            marker = needed.marker
            if marker is None or any(marker.evaluate({"extra": e}) for e in extras):
                wanted.append(needed)
    return found


class Environment:
    """
    A virtual environment of its own under a folder.

    :ivar sitePackages: where its packages are.
    :ivar elsewhere: an empty folder, outside any source tree, where its
        commands run.
    """

    def __init__(self, root: Path) -> None:
        self._root = root / "environment"
        self.elsewhere = root / "elsewhere"
        self.elsewhere.mkdir(parents=True)
        venv.create(self._root, symlinks=True)
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        self.sitePackages = self._root / "lib" / version / "site-packages"
        for name in sorted(_withDependencies(_requirements())):
            self._copyDistribution(metadata.distribution(name))

    def _copyDistribution(self, distribution: metadata.Distribution) -> None:
        """Install a distribution by copying the files that its RECORD lists."""
        if distribution.files is None:
            raise RuntimeError(
                f"{distribution.name} was installed without a list of its files; "
                "run the tests in a virtual environment that pip filled"
            )
        for file in distribution.files:
            source = Path(str(file.locate()))
            if ".." in file.parts or not source.exists():
                continue  # A script, which has its interpreter's path in it.
            target = self.sitePackages / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
        for entry in distribution.entry_points.select(group="console_scripts"):
            script = self._root / "bin" / entry.name
            imported = entry.attr.partition(".")[0]
            script.write_text(
                f"#!{self._root}/bin/python\n"
                f"import sys\nfrom {entry.module} import {imported}\n"
                f"sys.exit({entry.attr}())\n"
            )
            script.chmod(0o755)

    def run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """
        Run one of the environment's programs, from :attr:`elsewhere`.

        Nothing of the environment that runs the tests is handed down.
        """
        return _run([str(self._root / "bin" / program), *arguments], self.elsewhere)

    def pip(self, *arguments: str, source: Path) -> None:
        """Run ``pip`` on this environment, in a folder, with no network."""
        python = str(self._root / "bin" / "python")
        command = [sys.executable, "-m", "pip", "--python", python, *arguments]
        result = _run(command, source)
        if result.returncode != 0:
            raise RuntimeError(f"{command} failed:\n{result.stdout}{result.stderr}")

    def files(self) -> dict[str, bytes]:
        """
        Every file under :attr:`sitePackages`, by its path, with its digest.

        Twisted's plugin cache is left out; it comes and goes as it likes.
        """
        return {
            str(path.relative_to(self.sitePackages)): sha256(path.read_bytes()).digest()
            for path in self.sitePackages.rglob("*")
            if path.is_file() and path.name != "dropin.cache"
        }


def _run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "PIP_", "VIRTUAL_ENV"))
    }
    environment["PIP_NO_INDEX"] = environment["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
    return subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
