"""
List the programs of this folder.
"""

from __future__ import annotations

import ast
from pathlib import Path
from pkgutil import iter_modules


def purpose(path: Path) -> str:
    """:returns: the first sentence of a module's docstring."""
    text = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
    return " ".join(text.split("\n\n", 1)[0].split())


def main() -> None:
    """Print a line for each; ``--help`` says more."""
    folder = Path(__file__).parent
    for module in iter_modules([str(folder)]):
        if module.name != "__main__":
            path = folder / module.name / "__main__.py"
            words = purpose(path if module.ispkg else folder / f"{module.name}.py")
            print(f"python -m benchmarks.{module.name:9} {words}")


if __name__ == "__main__":
    main()
