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


def main():
    # type: () -> None
    """Write what this interpreter is; with the argument `environ` also the variables that it has."""
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
    sys.stdout.write("\nsweep-python " + json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
