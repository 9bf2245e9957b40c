"""Trials of an Optuna study as text and back, and the random state of its sampler: what a ledger keeps of a study."""

import base64
import copy
import json
import random
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

TUPLE = "__tuple__"
"""How a tuple is told from a list in JSON: Optuna compares the choices of a categorical parameter by equality."""

GP_CACHES = ("_gprs_cache_list", "_constraints_gprs_cache_list")
GP_PARAMS = ("inverse_squared_lengthscales", "kernel_scale", "noise_var")


def as_text(trial: "FrozenTrial") -> str:
    """Return everything about a trial but its intermediate values, which the ledger has by itself."""
    internal = {name: d.to_internal_repr(trial.params[name]) for name, d in trial.distributions.items()}
    return json.dumps(
        {
            "number": trial.number,
            "state": trial.state.name,
            "values": trial.values,
            "params": internal,
            "distributions": {name: _distribution_data(d) for name, d in trial.distributions.items()},
            "user_attrs": _plain(trial.user_attrs),
            "system_attrs": _plain(trial.system_attrs),
        },
        default=str,
    )


def as_data(text: str) -> dict[str, Any]:
    """Return what `as_text` wrote, its distributions as Optuna's."""
    data: dict[str, Any] = _restored(json.loads(text))
    data["distributions"] = {name: _distribution(d) for name, d in data["distributions"].items()}
    return data


def fill(storage: "optuna.storages.BaseStorage", trial_id: int, data: Mapping[str, Any]) -> None:
    """Write what `as_data` returned into a trial of a storage that is running, but for its end."""
    for name, distribution in data["distributions"].items():
        storage.set_trial_param(trial_id, name, data["params"][name], distribution)
    for name, value in data["user_attrs"].items():
        storage.set_trial_user_attr(trial_id, name, value)
    for name, value in data["system_attrs"].items():
        storage.set_trial_system_attr(trial_id, name, value)


def _distribution_data(distribution: "BaseDistribution") -> dict[str, Any]:
    return {"name": type(distribution).__name__, "attributes": _plain(distribution._asdict())}


def _distribution(data: Mapping[str, Any]) -> "BaseDistribution":
    from optuna import distributions

    made: BaseDistribution = getattr(distributions, data["name"])(**data["attributes"])
    return made


def _plain(value: Any) -> Any:
    """Return a value with its tuples marked."""
    if isinstance(value, tuple):
        return {TUPLE: [_plain(item) for item in value]}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    return value.item() if isinstance(value, np.generic) else value


def _restored(value: Any) -> Any:
    if isinstance(value, list):
        return [_restored(item) for item in value]
    if isinstance(value, dict):
        return tuple(_restored(value[TUPLE])) if set(value) == {TUPLE} else {k: _restored(v) for k, v in value.items()}
    return value


def seed_unseeded(sampler: "optuna.samplers.BaseSampler", seed: int) -> None:
    """Give the sweep's seed to the random states that the user gave none: the same spec then makes the same sweep."""
    from optuna.samplers._lazy_random_state import LazyRandomState

    for place, (_, state) in enumerate(_states(sampler)):
        if isinstance(state, LazyRandomState) and state._rng is None:  # noqa: SLF001 - there is no public way
            state.rng.seed(np.random.SeedSequence((seed, place)).generate_state(4))


def state_of(sampler: "optuna.samplers.BaseSampler") -> dict[str, Any]:
    """Return the random states of a sampler and of those inside it, and what its Gaussian processes begin from."""
    states = {name: _state_data(state) for name, state in _states(sampler)}
    return {"random": states, "gp": {name: _gp_data(getattr(sampler, name, None)) for name in GP_CACHES}}


def set_state(sampler: "optuna.samplers.BaseSampler", data: Mapping[str, Any]) -> None:
    """Give a sampler the state that `state_of` returned; what does not fit is left as it is."""
    for name, state in _states(sampler):
        if name in data["random"]:
            _set_state(state, data["random"][name])
    for name, caches in data["gp"].items():
        if caches is not None and hasattr(sampler, name):
            setattr(sampler, name, _gps(caches))


def study_state(study: "optuna.Study") -> dict[str, Any]:
    """Return what a ledger keeps of a study beside its trials; what a storage keeps by itself is left out."""
    attrs = study._storage.get_study_system_attrs(study._study_id) if _is_in_memory(study) else {}  # noqa: SLF001
    return {"name": study.study_name, "sampler": state_of(study.sampler), "attrs": attrs}


def set_study_state(study: "optuna.Study", state: Mapping[str, Any]) -> None:
    """Give a study the state that `study_state` returned."""
    set_state(study.sampler, state["sampler"])
    storage: Any = study._storage  # noqa: SLF001 - there is no public way
    if _is_in_memory(study):  # its name is drawn when it has none; HyperbandPruner sorts trials into brackets by it
        storage._studies[study._study_id].name = state["name"]  # noqa: SLF001
    for name, value in state["attrs"].items():
        storage.set_study_system_attr(study._study_id, name, value)  # noqa: SLF001


def _is_in_memory(study: "optuna.Study") -> bool:
    from optuna.storages import InMemoryStorage

    return isinstance(study._storage, InMemoryStorage)  # noqa: SLF001 - there is no public way


def unbound_copy(sampler: "optuna.samplers.BaseSampler") -> "optuna.samplers.BaseSampler":
    """Return a copy of a sampler, random state and all, that may be asked by another study.

    Raises:
        Exception: Whatever a sampler of the user's own raises when it is copied.
    """
    copied = copy.deepcopy(sampler)
    for name, part in list(vars(copied).items()):
        if hasattr(part, "_study_id") and hasattr(part, "_include_pruned"):  # it remembers which study it has seen
            setattr(copied, name, type(part)(part._include_pruned))  # noqa: SLF001 - there is no public way
    return copied


def _states(sampler: "optuna.samplers.BaseSampler", prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every random state of a sampler by its place, in an order of their own."""
    from optuna.samplers import BaseSampler
    from optuna.samplers._lazy_random_state import LazyRandomState

    for name, part in sorted(vars(sampler).items()):
        if isinstance(part, LazyRandomState | np.random.RandomState | np.random.Generator | random.Random):
            yield f"{prefix}{name}", part
        elif isinstance(part, BaseSampler):
            yield from _states(part, f"{prefix}{name}.")


def _state_data(state: Any) -> Any:
    if isinstance(state, np.random.Generator):
        return _plain(_without_arrays(state.bit_generator.state))
    if isinstance(state, random.Random):
        return _plain(state.getstate())
    rng = state if isinstance(state, np.random.RandomState) else state.rng
    _, keys, position, has_gauss, gauss = rng.get_state(legacy=True)
    assert isinstance(keys, np.ndarray)
    return {"keys": base64.b64encode(keys.tobytes()).decode(), "at": [int(position), int(has_gauss), float(gauss)]}


def _set_state(state: Any, data: Any) -> None:
    if isinstance(state, np.random.Generator):
        state.bit_generator.state = data
    elif isinstance(state, random.Random):
        state.setstate(data)
    else:
        rng = state if isinstance(state, np.random.RandomState) else state.rng
        keys = np.frombuffer(base64.b64decode(data["keys"]), dtype=np.uint32)
        rng.set_state(("MT19937", keys, *data["at"]))


def _without_arrays(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _without_arrays(item) for name, item in value.items()}
    return value.tolist() if isinstance(value, np.ndarray) else value


def _gp_data(caches: Any) -> Any:
    """Where a Gaussian process begins to look for its kernel: GPSampler keeps that from one proposal to the next."""
    if caches is None:
        return None
    return [{name: getattr(cache, name).detach().tolist() for name in GP_PARAMS} for cache in caches]


def _gps(caches: Any) -> list[SimpleNamespace]:
    import torch

    return [
        SimpleNamespace(**{name: torch.tensor(value, dtype=torch.float64) for name, value in cache.items()})
        for cache in caches
    ]
