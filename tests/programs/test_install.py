"""
The package, installed in each of the ways a user may, and tested from outside.

What has to hold is not that files are copied but that Twisted then *finds* the
plugin, and that nobody's ``twist`` is any the worse for it, before or after.
"""

from __future__ import annotations

import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import ClassVar

from twisted.trial.unittest import SynchronousTestCase

from tests.support.installing import PROJECT, Environment, copySource

_KNOWS = """
from twisted.internet import interfaces, reactor
from twisted.internet.endpoints import clientFromString, serverFromString
client = clientFromString(reactor, "transfer:active:tcp:host=127.0.0.1:port=4000")
server = serverFromString(reactor, "transfer:passive:tcp:port=0")
print(interfaces.IStreamClientEndpoint.providedBy(client))
print(interfaces.IStreamServerEndpoint.providedBy(server))
"""

_FORGOTTEN = """
from twisted.internet import reactor
from twisted.internet.endpoints import clientFromString, serverFromString
for fromString in clientFromString, serverFromString:
    try:
        fromString(reactor, "transfer:active:tcp:host=127.0.0.1:port=4000")
    except ValueError as error:
        print(error)
"""

_IMPORT_DROPIN = """
import sys
import twisted.plugins.twisted_transfer_dropin
print("twisted.internet.reactor" in sys.modules)
"""

_WHERE = """
import os.path, twisted_transfer, twisted.plugins.twisted_transfer_dropin as dropin
print(os.path.dirname(os.path.dirname(twisted_transfer.__file__)))
print(os.path.dirname(os.path.dirname(os.path.dirname(dropin.__file__))))
"""


def _withoutBytecode(files: dict[str, bytes]) -> dict[str, bytes]:
    """Leave out what Python writes by itself whenever something is imported."""
    return {path: files[path] for path in files if "__pycache__" not in path}


class InstallCase(SynchronousTestCase):
    """
    The life of one installation, run once, with each step's result kept.

    The order matters (Twisted caches what plugins it found; uninstalling comes
    last), so the steps are taken together and the tests look at the results.
    """

    __test__ = False

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
        cls.results = {
            # First, while there is no cache: this imports every plugin.
            "other reactor, no cache": run("twist", "--reactor=poll", "web", "--help"),
            "other reactor": run("twist", "--reactor=select", "web", "--help"),
            "twist": run("twist", "--help"),
            "twist transfer": run("twist", "transfer", "--help"),
            "twistd": run("twistd", "--help"),
            "twistd transfer": run("twistd", "transfer", "--help"),
            "python -m": run("python", "-m", "twisted_transfer", "--help"),
            "program": run("twisted-transfer", "--help"),
            "where": run("python", "-c", _WHERE),
            "knows": run("python", "-c", _KNOWS),
            "dropin": run("python", "-c", _IMPORT_DROPIN),
        }
        environment.pip("uninstall", "--yes", "twisted_transfer", source=root)
        cls.after = environment.files()
        cls.results |= {
            "twist, uninstalled": run("twist", "--help"),
            "web, uninstalled": run("twist", "web", "--help"),
            "import, uninstalled": run("python", "-c", "import twisted.plugins"),
            "forgotten": run("python", "-c", _FORGOTTEN),
        }

    def output(self, step: str) -> str:
        """The standard output of a step, which must have succeeded quietly."""
        result = self.results[step]
        self.assertEqual(result.returncode, 0, f"{step}: {result}")
        self.assertEqual(result.stderr, "", f"{step}: {result}")
        return result.stdout

    def test_place(self) -> None:
        """What was installed is what is imported, not some other copy of it."""
        self.assertEqual(
            self.output("where").split("\n"),
            [str(self.expectedPlace), str(self.expectedPlace), ""],
        )

    def test_endpoints(self) -> None:
        """Twisted knows ``transfer`` for clients and for servers."""
        self.assertEqual(self.output("knows"), "True\nTrue\n")

    def test_twist(self) -> None:
        """``twist`` lists the command and runs it."""
        self.assertRegex(self.output("twist"), r"(?m)^ +transfer +Move data ")
        self.assertIn("Usage: twist ", self.output("twist transfer"))

    def test_twistd(self) -> None:
        """``twistd`` lists the command and runs it."""
        self.assertRegex(self.output("twistd"), r"(?m)^ +transfer +Move data ")
        self.assertIn("Usage: twistd ", self.output("twistd transfer"))

    def test_program(self) -> None:
        """The program runs by its name and by its package's name."""
        self.assertIn("twisted-transfer", self.output("program"))
        self.assertIn("twisted-transfer", self.output("python -m"))

    def test_otherCommands(self) -> None:
        """
        ``twist`` still runs another's command under a chosen reactor.

        It would fail with "reactor already installed" if the dropin, which
        every ``twist`` imports, imported the default one.
        """
        self.assertIn("web", self.output("other reactor, no cache"))
        self.assertIn("web", self.output("other reactor"))

    def test_dropinLeavesReactorAlone(self) -> None:
        """Importing the dropin installs no reactor."""
        self.assertEqual(self.output("dropin"), "False\n")

    def test_uninstall(self) -> None:
        """Uninstalling takes every file of ours, and leaves Twisted's as they were."""
        self.assertEqual(
            [path for path in self.after if "twisted_transfer" in path], []
        )
        self.assertEqual(_withoutBytecode(self.after), _withoutBytecode(self.before))

    def test_uninstalledCommands(self) -> None:
        """After uninstalling, Twisted works and has forgotten the plugin."""
        self.assertNotIn("transfer", self.output("twist, uninstalled"))
        self.assertIn("web", self.output("web, uninstalled"))
        self.assertEqual(self.output("import, uninstalled"), "")
        self.assertEqual(
            self.output("forgotten"), "Unknown endpoint type: 'transfer'\n" * 2
        )


class CopiedCase(InstallCase):
    """What is owed besides, where the files are copied into ``site-packages``."""

    def test_files(self) -> None:
        """The package is installed, with its type marker, and the dropin; no more."""
        ours = _withoutBytecode(self.installed).keys() - self.before.keys()
        package = {
            str(path.relative_to(PROJECT))
            for path in (PROJECT / "twisted_transfer").iterdir()
            if path.is_file()
        }
        self.assertIn("twisted_transfer/py.typed", package)
        self.assertEqual(
            {path for path in ours if ".dist-info/" not in path},
            package | {"twisted/plugins/twisted_transfer_dropin.py"},
        )


class FromSourceTests(CopiedCase):
    """``pip install .``"""

    __test__ = True

    @classmethod
    def install(cls, source: Path, environment: Environment) -> Path:
        """Install the source tree."""
        environment.pip("install", "--no-build-isolation", ".", source=source)
        return environment.sitePackages


class FromWheelTests(CopiedCase):
    """``pip install twisted_transfer-….whl``"""

    __test__ = True

    @classmethod
    def install(cls, source: Path, environment: Environment) -> Path:
        """Build a wheel and install that."""
        environment.pip(
            "wheel", "--no-deps", "--no-build-isolation", ".", source=source
        )
        [wheel] = source.glob("*.whl")
        environment.pip("install", str(wheel), source=environment.elsewhere)
        return environment.sitePackages


class FromSdistTests(CopiedCase):
    """``pip install twisted_transfer-….tar.gz``"""

    __test__ = True

    missing: ClassVar[set[str]]

    @classmethod
    def install(cls, source: Path, environment: Environment) -> Path:
        """Build a source distribution and install that."""
        sources = {
            str(path.relative_to(source))
            for folder in ("twisted", "twisted_transfer", "tests", "docs")
            for path in (source / folder).rglob("*")
            if path.is_file()
        }
        sdist = environment.buildSdist(source)
        with tarfile.open(sdist) as archive:
            # Each name begins with the folder named after the version.
            held = {name.partition("/")[2] for name in archive.getnames()}
        cls.missing = sources - held
        environment.pip(
            "install",
            "--no-build-isolation",
            str(sdist),
            source=environment.elsewhere,
        )
        return environment.sitePackages

    def test_whole(self) -> None:
        """The sdist holds all that the tests need: the tests, and the documents."""
        self.assertEqual(self.missing, set())


class EditableTests(InstallCase):
    """Plain ``pip install -e .``, with none of setuptools' editable modes named."""

    __test__ = True

    @classmethod
    def install(cls, source: Path, environment: Environment) -> Path:
        """Install a link to the source tree."""
        environment.pip("install", "--no-build-isolation", "-e", ".", source=source)
        return source
