"""What an interpreter runs to say what it is, as one line of JSON. Run as `python -c`, by any Python since 2.7."""

import sys

if __name__ == "__main__" and sys.path[:1] == [""]:
    sys.path.pop(0)  # the working directory: nothing in it is what is imported here
import json
import os

PACKAGES = (
    "wandb",
    "torch",
    "tensorboard",
    "tensorboardX",
    "numpy",
    "jax",
    "lightning",
    "ray",
    "scikit-learn",
    "cloudpickle",
)


def versions(places):
    # type: (list[str]) -> dict[str, str]
    """Versions by package, from the names of what pip and conda leave beside a package: nothing is imported."""
    wanted = {}  # type: dict[str, str]
    for name in PACKAGES:
        wanted[name.lower().replace("-", "_")] = name
    found = {}  # type: dict[str, str]
    for place in places:
        try:
            entries = sorted(os.listdir(place))
        except OSError:
            continue
        for entry in entries:
            stem, kind = os.path.splitext(entry)
            name, dash, rest = stem.partition("-")
            known = wanted.get(name.lower().replace(".", "_"))
            if kind in (".dist-info", ".egg-info") and dash and known and known not in found:
                found[known] = rest.split("-")[0]
    return found


def lacking(names):
    # type: (list[str]) -> list[str]
    """Top-level names that an import would not find here; nothing is imported."""
    from importlib import util

    def is_found(name):
        # type: (str) -> bool
        try:
            return util.find_spec(name) is not None
        except (ImportError, ValueError):  # a module that runs already may lack what is asked for
            return name in sys.modules

    return [name for name in names if not is_found(name)]


def main():
    # type: () -> None
    """Write what this interpreter is; after `environ` also its variables, after `lacks [...]` which names it does not find."""
    places = [os.path.abspath(place) for place in sys.path if os.path.isdir(place)]
    answer = {
        "executable": sys.executable,
        "version": list(sys.version_info[:3]),
        "prefix": sys.prefix,
        "free_threaded": "t" in getattr(sys, "abiflags", ""),
        "packages": versions(places),
        "places": places,
    }
    if "environ" in sys.argv[1:]:
        answer["environ"] = dict(os.environ)
    if sys.argv[1:2] == ["lacks"]:
        answer["lacks"] = lacking(json.loads(sys.argv[2]))
    sys.stdout.write("\nsweep-python " + json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
