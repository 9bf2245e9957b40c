"""Whether a study has anything left to propose: Optuna tells that only after the fact, and repeats itself until then."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import optuna

STOP = "`Study.stop` is supposed to be invoked inside"
"""What Optuna raises where a study is told to stop outside of `Study.optimize`, as wandb knows it too."""


def why_exhausted(study: "optuna.Study") -> str | None:
    """Return why asking a study once more would repeat a trial; None when it would not, or when nobody can know.

    A point that is being tried counts as tried: the sweep ends with as many trials as there are points, not more.
    """
    from optuna.samplers import BruteForceSampler, GridSampler
    from optuna.trial import TrialState

    trials = study._storage.get_all_trials(study._study_id, deepcopy=False)  # noqa: SLF001 - as Optuna's samplers look
    if any(trial.state is TrialState.WAITING for trial in trials):
        return None
    if isinstance(study.sampler, GridSampler):
        return (
            "every point of the study's GridSampler has been tried" if _grid_is_spent(study.sampler, trials) else None
        )
    if isinstance(study.sampler, BruteForceSampler):
        return "the study's BruteForceSampler has tried everything" if _tree_is_spent(study.sampler, trials) else None
    is_exhausted = getattr(study.sampler, "is_exhausted", None)
    spent = is_exhausted is not None and bool(is_exhausted(study))
    return f"the study's {type(study.sampler).__name__} has nothing left to try" if spent else None


def is_stop(error: BaseException) -> bool:
    """Return whether an error is a study's wish to stop."""
    return isinstance(error, RuntimeError) and STOP in str(error)


def _grid_is_spent(sampler: "optuna.samplers.GridSampler", trials: "list[optuna.trial.FrozenTrial]") -> bool:
    tried = {
        trial.system_attrs["grid_id"]
        for trial in trials
        if "grid_id" in trial.system_attrs and sampler._same_search_space(trial.system_attrs["search_space"])  # noqa: SLF001
    }
    return tried >= set(range(len(sampler._all_grids)))  # noqa: SLF001 - `is_exhausted` leaves out what runs


def _tree_is_spent(sampler: "optuna.samplers.BruteForceSampler", trials: "list[optuna.trial.FrozenTrial]") -> bool:
    from optuna.samplers._brute_force import _TreeNode

    if not trials:
        return False
    tree = _TreeNode()
    sampler._populate_tree(tree, trials, {})  # noqa: SLF001 - the sampler's own account of what it has tried
    return not tree.is_any_expandable(exclude_running=True)
