"""
The package, installed as a user installs it, and tested from outside.

What has to hold is not that files are copied but that Twisted then *finds* the
plugin, and that ``twist`` still works with other plugins, before and after.
"""

from __future__ import annotations

import shutil
import subprocess
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import ClassVar

from twisted.trial.unittest import SynchronousTestCase

from tests.support.folders import newFolder
from tests.support.installing import PROJECT, Environment, build, copySource
from tests.support.shares import FILES

# What Twisted finds, after the dropin was imported and nothing else of ours.
_FINDS = """
import os.path, sys
import twisted.plugins.twisted_transfer_dropin as dropin
heavy = ("OpenSSL", "twisted.internet.reactor", "twisted_transfer")
print(*sorted(name for name in sys.modules if name.startswith(heavy)))
import twisted_transfer
from twisted_transfer import receipts  # a module, and no public name
print("twisted_transfer.transfers" in sys.modules)
print(os.path.dirname(os.path.dirname(twisted_transfer.__file__)))
print(os.path.dirname(os.path.dirname(os.path.dirname(dropin.__file__))))
from twisted.internet import interfaces, reactor
from twisted.internet.endpoints import clientFromString, serverFromString
client = clientFromString(reactor, "transfer:active:tcp:host=127.0.0.1:port=4000")
server = serverFromString(reactor, "transfer:passive:tcp:port=0")
print(interfaces.IStreamClientEndpoint.providedBy(client))
print(interfaces.IStreamServerEndpoint.providedBy(server))
"""

_FORGOTTEN = """
import twisted.plugins
from twisted.internet import reactor
from twisted.internet.endpoints import clientFromString, serverFromString
for fromString in clientFromString, serverFromString:
    try:
        fromString(reactor, "transfer:active:tcp:host=127.0.0.1:port=4000")
    except ValueError as error:
        print(error)
"""


# What is installed beside the packages.
_SHARES = """
import pathlib, sys
share = pathlib.Path(sys.prefix, "share")
print(*(path.relative_to(share) for path in share.rglob("*") if path.is_file()))
"""


def _withoutBytecode(files: dict[str, bytes]) -> dict[str, bytes]:
    """Leave out what Python writes by itself whenever something is imported."""
    return {path: files[path] for path in files if "__pycache__" not in path}


def _ours() -> set[str]:
    """The files of ours that an installation has."""
    package = {
        str(path.relative_to(PROJECT))
        for path in (PROJECT / "twisted_transfer").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert "twisted_transfer/py.typed" in package
    return package | {"twisted/plugins/twisted_transfer_dropin.py"}


class InstallCase(SynchronousTestCase):
    """
    The life of one installation, run once, with each step's result kept.

    The order matters (Twisted caches what plugins it found; uninstalling comes
    last), so the steps are taken together and the tests look at the results.

    :cvar uses: what is run of what is installed: the words of each step.
    :cvar usesOfTheRest: what is run after it was uninstalled.
    """

    __test__ = False

    uses: ClassVar[dict[str, tuple[str, ...]]] = {
        "program": ("twisted-transfer", "--help"),
        "finds": ("python", "-c", _FINDS),
    }
    usesOfTheRest: ClassVar[dict[str, tuple[str, ...]]] = {
        "forgotten": ("python", "-c", _FORGOTTEN),
    }

    environment: ClassVar[Environment]
    expectedPlace: ClassVar[Path]
    results: ClassVar[dict[str, subprocess.CompletedProcess[str]]]
    before: ClassVar[dict[str, bytes]]
    installed: ClassVar[dict[str, bytes]]
    after: ClassVar[dict[str, bytes]]

    @classmethod
    def install(cls, source: Path, environment: Environment) -> Path:
        """
        Install the project from its source tree.

        :returns: the folder that its packages are to be imported from.
        """
        raise NotImplementedError

    @classmethod
    def setUpClass(cls) -> None:
        """Install, use, uninstall, and use what is left."""
        root = Path(tempfile.mkdtemp())
        cls.addClassCleanup(shutil.rmtree, root)
        environment = cls.environment = Environment(root)
        run = environment.run
        cls.before = environment.files()
        cls.expectedPlace = cls.install(copySource(root / "source"), environment)
        cls.installed = environment.files()
        cls.results = {step: run(*words) for step, words in cls.uses.items()}
        environment.pip("uninstall", "--yes", "twisted_transfer", source=root)
        cls.after = environment.files()
        for step, words in cls.usesOfTheRest.items():
            cls.results[step] = run(*words)

    def output(self, step: str) -> str:
        """The standard output of a step, which must have succeeded quietly."""
        result = self.results[step]
        self.assertEqual(result.returncode, 0, f"{step}: {result}")
        self.assertEqual(result.stderr, "", f"{step}: {result}")
        return result.stdout

    def test_finds(self) -> None:
        """
        Importing the dropin, as each ``twist`` does, installs no reactor and
        imports the parsers alone; what was installed is what is imported, not some
        other copy of it; and Twisted knows ``transfer`` for clients and for servers.
        """
        place = str(self.expectedPlace)
        parsers = "twisted_transfer.twist.parsers"
        faces = "twisted_transfer twisted_transfer.handing twisted_transfer.twist"
        self.assertEqual(
            self.output("finds").split("\n"),
            [f"{faces} {parsers}", "False", place, place, "True", "True", ""],
        )

    def test_uninstall(self) -> None:
        """Uninstalling takes every file of ours, and leaves Twisted's as they were."""
        self.assertEqual(
            [path for path in self.after if "twisted_transfer" in path], []
        )
        self.assertEqual(_withoutBytecode(self.after), _withoutBytecode(self.before))

    def test_program(self) -> None:
        """The program runs by its name."""
        self.assertIn("twisted-transfer", self.output("program"))

    def test_forgotten(self) -> None:
        """After uninstalling, Twisted has forgotten the plugin."""
        self.assertEqual(
            self.output("forgotten"), "Unknown endpoint type: 'transfer'\n" * 2
        )


class FromSourceTests(InstallCase):
    """``pip install .``, which builds a wheel and installs that."""

    __test__ = True

    uses: ClassVar[dict[str, tuple[str, ...]]] = {
        # First, while there is no cache: this imports every plugin.
        "other reactor, no cache": ("twist", "--reactor=poll", "web", "--help"),
        "other reactor": ("twist", "--reactor=select", "web", "--help"),
        "twist": ("twist", "--help"),
        "twist transfer": ("twist", "transfer", "--help"),
        "twistd": ("twistd", "--help"),
        "twistd transfer": ("twistd", "transfer", "--help"),
        "python -m": ("python", "-m", "twisted_transfer", "--help"),
        "shares": ("python", "-c", _SHARES),
        **InstallCase.uses,
    }
    usesOfTheRest: ClassVar[dict[str, tuple[str, ...]]] = {
        "twist, uninstalled": ("twist", "--help"),
        "web, uninstalled": ("twist", "web", "--help"),
        "shares, uninstalled": ("python", "-c", _SHARES),
        **InstallCase.usesOfTheRest,
    }

    @classmethod
    def install(cls, source: Path, environment: Environment) -> Path:
        """Install the source tree."""
        environment.pip("install", "--no-build-isolation", ".", source=source)
        return environment.sitePackages

    def test_twist(self) -> None:
        """``twist`` lists the command and runs it."""
        self.assertRegex(self.output("twist"), r"(?m)^ +transfer +Move data ")
        self.assertIn("Usage: twist ", self.output("twist transfer"))

    def test_twistd(self) -> None:
        """``twistd`` lists the command and runs it."""
        self.assertRegex(self.output("twistd"), r"(?m)^ +transfer +Move data ")
        self.assertIn("Usage: twistd ", self.output("twistd transfer"))

    def test_module(self) -> None:
        """The program runs by its package's name."""
        self.assertIn("twisted-transfer", self.output("python -m"))

    def test_otherCommands(self) -> None:
        """
        ``twist`` still runs another's command under a chosen reactor.

        It would fail with "reactor already installed" if the dropin, which
        every ``twist`` imports, imported the default one.
        """
        self.assertIn("web", self.output("other reactor, no cache"))
        self.assertIn("web", self.output("other reactor"))

    def test_uninstalledCommands(self) -> None:
        """After uninstalling, ``twist`` works, without the command."""
        self.assertNotIn("transfer", self.output("twist, uninstalled"))
        self.assertIn("web", self.output("web, uninstalled"))

    def test_files(self) -> None:
        """The package is installed, with its type marker, and the dropin; no more."""
        ours = _withoutBytecode(self.installed).keys() - self.before.keys()
        self.assertEqual({path for path in ours if ".dist-info/" not in path}, _ours())

    def test_shares(self) -> None:
        """So are the man page and completion for shells, until it is uninstalled."""
        self.assertEqual({*self.output("shares").split()}, {*FILES})
        self.assertEqual(self.output("shares, uninstalled"), "\n")


class EditableTests(InstallCase):
    """
    Plain ``pip install -e .``, with none of setuptools' editable modes named.

    What differs is where things are found, not what then runs.
    """

    __test__ = True

    @classmethod
    def install(cls, source: Path, environment: Environment) -> Path:
        """Install a link to the source tree."""
        environment.pip("install", "--no-build-isolation", "-e", ".", source=source)
        return source


class SdistTests(SynchronousTestCase):
    """The source distribution."""

    def test_whole(self) -> None:
        """
        It holds all that the tests need, themselves and the documents; and the
        wheel from it has the files of the package and the dropin, and those that go
        beside them, and no more.
        """
        folder = newFolder(self)
        source = copySource(folder / "source")
        sources = {
            str(path.relative_to(source))
            for name in ("twisted", "twisted_transfer", "tests", "docs", "share")
            for path in (source / name).rglob("*")
            if path.is_file()
        }
        with tarfile.open(build("sdist", source)) as archive:
            archive.extractall(folder, filter="data")
        [unpacked] = folder.glob("twisted_transfer-*")
        held = {str(path.relative_to(unpacked)) for path in unpacked.rglob("*")}
        self.assertEqual(sources - held, set())
        with zipfile.ZipFile(build("wheel", unpacked)) as wheel:
            names = {name for name in wheel.namelist() if ".dist-info/" not in name}
        beside = {name for name in names if ".data/" in name}
        self.assertEqual(
            {name.partition(".data/data/share/")[2] for name in beside}, {*FILES}
        )
        self.assertEqual(names - beside, _ours())
