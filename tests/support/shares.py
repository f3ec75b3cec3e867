"""
What is installed beside the package: the man page, and completion for shells.

They are written from the options of the command, so that they have what it has::

    python -m tests.support.shares
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from twisted_transfer.command.main import CommandOptions

SHARE = Path(__file__).resolve().parents[2] / "share"

_PROGRAM = "twisted-transfer"


def commands() -> dict[str, Any]:
    """:returns: the options of each command by its name."""
    return {row[0]: row[2]() for row in CommandOptions.subCommands}


def optionsOf(command: Any) -> Iterator[tuple[str, str, bool]]:
    """:returns: each option of a command: its long name, its short one, or an empty
    word; and whether it has a value."""
    short = {name: key for key, name in command.synonyms.items() if len(key) == 1}
    for each in sorted(command.longOpt):
        name = each.removesuffix("=")
        yield name, short.get(name, ""), each != name


def _words(command: Any, valued: bool) -> str:
    """:returns: the options as they are typed; only those with a value, or all."""
    return " ".join(
        word
        for name, short, hasValue in optionsOf(command)
        for word in ([f"-{short}"] if short else []) + [f"--{name}"]
        if hasValue or not valued
    )


def bash() -> str:
    """:returns: the completion for bash."""
    names = commands()
    cases = "".join(
        f"    {name})\n      options='{_words(command, False)}'\n"
        f"      valued=' {_words(command, True)} '\n      ;;\n"
        for name, command in names.items()
    )
    first = f"{' '.join(names)} help {_words(CommandOptions(), False)}"
    return f"""\
# Completion of {_PROGRAM} for bash.
# Written from its options by: python -m tests.support.shares
# shellcheck shell=bash disable=SC2207

_twisted_transfer() {{
  local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD - 1]}}
  local options valued
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then
    COMPREPLY=($(compgen -W '{first}' -- "$word"))
    return
  fi
  case ${{COMP_WORDS[1]}} in
{cases}    help)
      COMPREPLY=($(compgen -W '{" ".join(names)}' -- "$word"))
      return
      ;;
    *) return ;;
  esac
  if [[ $valued == *" $before "* || $before == "=" || $word == "=" ]]; then
    # A value is no file.
    compopt +o default 2>/dev/null
  elif [[ $word == -* ]]; then
    COMPREPLY=($(compgen -W "$options" -- "$word"))
  fi
}}

complete -o default -F _twisted_transfer {_PROGRAM}
"""


def zsh() -> str:
    """:returns: the completion for zsh, which asks the program."""
    return f"""\
#compdef {_PROGRAM}
# Completion of {_PROGRAM} for zsh; the program writes it (twisted.python.usage).

local output
output=$("${{(Q)words[@]}}" --_shell-completion zsh:$CURRENT 2>/dev/null)
[[ $output == "#compdef "* ]] && eval $output
"""


def _roff(text: str) -> str:
    """:returns: the text as troff shows it."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq")
    return re.sub(r"^([.])", r"\\&\1", text, flags=re.MULTILINE)


def _plain(text: str) -> str:
    """:returns: lines that stay as they are."""
    return f".PP\n.nf\n{_roff(text.strip(chr(10)))}\n.fi\n"


def _options(command: Any) -> str:
    """:returns: the list of the options of a command."""
    said = ""
    for name, short, valued in optionsOf(command):
        names = [f"\\fB\\-{short}\\fR"] if short else []
        value = "=\\fIVALUE\\fR" if valued else ""
        names.append(f"\\fB{_roff('--' + name)}\\fR{value}")
        text = _roff(" ".join(command.docs[name].split()))
        default = command.defaults.get(name)
        if default and valued:
            text += f" The default is {default}."
        said += f".TP\n{', '.join(names)}\n{text}\n"
    return said


def man() -> str:
    """:returns: the man page."""
    whole = CommandOptions()
    about = {row[0]: row[3] for row in whole.subCommands}
    said = """\
.\\" Written from the options of the command by: python -m tests.support.shares
.TH TWISTED\\-TRANSFER 1
.SH NAME
twisted\\-transfer \\- one connection between two partners, whichever of them dials
.SH SYNOPSIS
.nf
"""
    for name, command in commands().items():
        said += f"{_roff(_PROGRAM)} {name} {_roff(command.synopsis)}\n"
    said += f"""\
{_roff(_PROGRAM)} help COMMAND
.fi
.SH DESCRIPTION
Files, standard input or whole connections go from one partner to the other over one
connection, which either of them can dial.
With receipts, which are the default, success means that the partner has stored what
was sent.
"""
    for name, command in commands().items():
        said += f".SH {name.upper()}\n{_roff(about[name])}\n"
        if command.longdesc:
            said += f".PP\n{_roff(command.longdesc)}\n"
        if getattr(command, "epilogue", ""):
            said += _plain(command.epilogue)
        said += _options(command)
    forms = commands()["send"].getUsage().partition("DESCRIPTION says who dials")
    said += f".SH DESCRIPTIONS\n{_plain(''.join(forms[1:]))}"
    status = whole.getUsage().partition("Exit status: ")[2]
    said += f".SH EXIT STATUS\n{_roff(' '.join(status.split()))}\n"
    said += ".SH SEE ALSO\n.BR twist (1),\n.BR twistd (1)\n"
    return said


FILES = {
    "man/man1/twisted-transfer.1": man,
    "bash-completion/completions/twisted-transfer": bash,
    "zsh/site-functions/_twisted-transfer": zsh,
}
"""What makes the content of each file below ``share``."""


def main() -> None:
    """Write the files."""
    for path, make in FILES.items():
        (SHARE / path).parent.mkdir(parents=True, exist_ok=True)
        (SHARE / path).write_text(make(), encoding="utf-8")


if __name__ == "__main__":
    main()
