"""What a shim of pyenv chooses by: variables, and files from the working directory upwards. Asking it takes a second."""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

MOST_BYTES = 4096
SHIM = re.compile(
    rb"""\#!/usr/bin/env\ bash\n
    set\ -e\n
    (\[\ -n\ "\$PYENV_DEBUG"\ \]\ &&\ set\ -x\n)?\n
    program="\${0\#\#\*/}"\n\n
    export\ PYENV_ROOT="(?P<root>/[^"$`\\\n]+)"\n
    (SHIM_PATH=\${0%/\*}\n
    if\ \[\[\ \$SHIM_PATH\ !=\ "[^"$`\\\n]+"\ \]\];\ then\n
    \ \ export\ _PYENV_SHIM_PATH="\$SHIM_PATH"\n
    fi\n)?
    exec\ "[^"$`\\\n]+/pyenv"\ exec\ "\$program"\ "\$@"\n?""",
    re.VERBOSE,
)
"""What pyenv writes as a shim: where pyenv keeps what it has, and that it does nothing but ask pyenv."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What a script's choice of an interpreter depends on; nothing where it is none of pyenv's.

    Attributes:
        key: The values that it depends on, by name.
        places: The files that it depends on, also those that are not there yet.
    """

    key: Mapping[str, str]
    places: tuple[str, ...] = ()


def choice(path: str, cwd: str, environ: Mapping[str, str]) -> Choice:
    """Return what the interpreter behind a path depends on besides the path.

    Args:
        path: Of an interpreter, or of a script that chooses one.
        cwd: Where it is started.
        environ: Its environment.
    """
    with open(path, "rb") as file:
        found = SHIM.fullmatch(file.read(MOST_BYTES))
    if found is None:
        return Choice(key={})
    key = {name: value for name, value in environ.items() if name.startswith(("PYENV", "_PYENV")) or name == "PATH"}
    root = os.fsdecode(found["root"])
    above = dict.fromkeys(
        place
        for start in (environ.get("PYENV_DIR"), environ.get("PWD"), cwd)
        if start
        for place in _upwards(start, cwd)
    )
    system = os.get_exec_path(environ)  # "system" is the first Python there that is none of pyenv's
    own = (os.path.join(root, name) for name in ("version", "versions", "pyenv.d", "plugins", "libexec/pyenv"))
    return Choice(key={**key, "cwd": cwd, "PWD": environ.get("PWD", "")}, places=(path, *above, *system, *own))


def _upwards(start: str, cwd: str) -> Iterator[str]:
    """Where pyenv looks for the version of a directory: by the path as it is written, and by the real one."""
    written = os.path.join(cwd, start)
    for directory in dict.fromkeys((Path(written), Path(os.path.realpath(written)))):
        yield from (str(each / ".python-version") for each in (directory, *directory.parents))
