"""What figures mean: those of a sound GPU pass, each spoilt one fails for its own reason, and so does a check cut short."""

import copy

import pytest

from tests.gpu.judging import DRY, JUDGES, ON_GPU, judge
from tests.gpu.plan import CHECKS, TOTAL_S, stages

ENDED = {"cause": "failed", "error": None, "signal": None, "exit_code": 1}
SWEPT = {
    "causes": ["finished"] * 4,
    "exit_code": 0,
    "warm": 4,
    "cold_reasons": [],
    "values": [0.5, 0.9],
    "seconds": 20.0,
    "errors": [],
    "asked": 4,
}
START = {"n": 20, "warm_s": 0.5, "cold_s": 4.0, "ratio": 8.0, "warm_line_s": 0.1, "cold_line_s": 3.0}
NO_COST = {"share": 0.002, "error": 0.002, "n": 20}

SOUND = {
    "machine": {
        "n_gpus": 1,
        "card": "A GPU",
        "cuda": "13.0",
        "nvidia_smi": "A GPU, 580, 80 GiB",
        "versions": {"torch": "2.11.0"},
        "python": "3.12.3",
        "kernel": "6",
        "cpus": 16,
        "unmet": [],
    },
    "share": {
        "causes": ["finished"] * 8,
        "n_trials": 8,
        "cold_reasons": [],
        "given": ["0"],
        "visible": ["0"],
        "n_gpus": [1],
        "uuids": ["u"],
        "inherited_cuda": 0,
        "servers_with_cuda": 0,
        "trials_with_cuda": 8,
        "at_once": 4,
    },
    "starts": {"torch": START, "torch+wandb": START, "lanes": 4},
    "memory": {
        "n_trials": 200,
        "rounds": 40,
        "before_mib": 600,
        "peak_mib": 4000,
        "after_mib": 600,
        "longest_wait_s": 0.6,
        "late": 0,
        "wrong_causes": 0,
        "first_wrong": [],
    },
    "out-of-memory": {
        "out_of_memory": ENDED | {"cause": "out_of_gpu_memory", "error": "OutOfMemoryError: CUDA out of memory."},
        "neighbours": ["finished"] * 3,
        "results": [0.25] * 3,
    },
    "illegal-access": {
        "illegal": ENDED | {"error": "AcceleratorError: CUDA error: an illegal memory access was encountered"},
        "next": "finished",
        "product": 512.0**3,
        "neighbours": ["finished"],
    },
    "hang": {
        "hung": ENDED | {"cause": "stopped", "signal": 9},
        "ended_after_s": 3.0,
        "is_gone": True,
        "next": "finished",
        "product": 512.0**3,
        "next_after_s": 1.0,
    },
    "digits-bayes": SWEPT,
    "gpt-asha": SWEPT | {"causes": ["finished", "stopped", "stopped", "finished"]},
    "compile-cache": {"causes": ["finished"] * 3, "first_epoch_s": [20.0, 6.0, 6.0]},
    "ddp": SWEPT | {"causes": ["finished"], "asked": 1, "backend": "nccl"},
    "watching": {
        "inside_share": 0.004,
        "first_sample_s": 0.03,
        "sample_s": 0.002,
        "gradients": NO_COST,
        "run_watch": {"share": 0.02, "error": 0.002, "n": 20},
        "run_watch_in_plain_python": {"share": 0.02, "error": 0.002, "n": 20},
        "syncs_unwatched": 0,
        "syncs_watched": 1,
        "samples_while_counting": 1,
        "steps_per_block": 100,
        "step_s": 0.003,
    },
    "sampling": {"idle_mib": 600, "busy": [99, 98], "used_mib": [2000.0, 2001.0], "power_w": [500.0, 510.0], "n": 10},
    "turns": {
        "causes": ["finished"] * 6,
        "exit_codes": [0, 0],
        "said": [],
        "n_trials": 6,
        "overlaps": 0,
        "changes": 4,
        "between_s": 0.3,
        "refused_with": 3,
        "wanted_code": 3,
        "refusal": "every GPU is held by other programs: 16 GiB by python (pid 7)",
        "holder_named": True,
        "named_exit_code": 0,
    },
    "packing": {
        "per_hour": {"1": 1000.0, "2": 1900.0, "4": 3000.0, "8": 3500.0},
        "looks": 1,
        "own_mib": [500],
        "own_busy": [0.1],
        "use_problems": [],
    },
    "throughput": {
        "script_s": 20.0,
        "training_s": 2.0,
        "ours": {"added_s": 0.7, "per_hour": 174.0, "n": 5},
        "cold": {"added_s": 5.0, "per_hour": 144.0, "n": 5},
        "tune": {"added_s": 6.0, "per_hour": 138.0, "n": 5},
    },
}
"""Figures as a sound GPU gives them, made up."""

SPOILT = [
    ("machine", "n_gpus", 0, "no GPU"),
    ("share", "causes", ["finished", "failed"], "failed, finished"),
    ("share", "n_trials", 7, "7 of 8"),
    ("share", "n_gpus", [2], r"see \[2\] GPUs"),
    ("share", "visible", ["1"], "CUDA_VISIBLE_DEVICES"),
    ("share", "at_once", 3, "3 trials at once"),
    ("share", "servers_with_cuda", 1, "warm server"),
    ("share", "inherited_cuda", 2, "warm server of 2"),
    ("share", "cold_reasons", ["an import started threads"], "started cold: an import"),
    ("starts", "torch", START | {"ratio": 1.5}, "torch: python takes 1.5 x"),
    ("starts", "torch+wandb", START | {"n": 12}, "12 starts of 20"),
    ("memory", "late", 2, "after 2 of 40 rounds"),
    ("memory", "n_trials", 195, "195 trials of 200"),
    ("memory", "peak_mib", 0, "nothing to give back was seen"),
    ("memory", "wrong_causes", 1, "another cause"),
    ("out-of-memory", "out_of_memory", ENDED, "the cause is failed"),
    ("out-of-memory", "neighbours", ["finished", "failed"], "failed, finished"),
    ("out-of-memory", "results", [0.25, 0.26, 0.25], "neighbours that do the same"),
    ("out-of-memory", "results", [0.25, None, 0.25], "neighbours that do the same"),
    ("illegal-access", "illegal", ENDED | {"cause": "killed", "error": "killed by SIGABRT"}, "SIGABRT"),
    ("illegal-access", "next", "failed", "the next trial: failed"),
    ("illegal-access", "product", 0.0, "product 0.0"),
    ("hang", "hung", ENDED | {"cause": "stopped", "signal": 15}, "not ended by SIGKILL"),
    ("hang", "ended_after_s", 30.0, "30.0 s to end it"),
    ("hang", "is_gone", False, "still there"),
    ("packing", "own_mib", [], "have memory of their own"),
    ("turns", "overlaps", 1, "two trials at once 1 times"),
    ("turns", "changes", 1, "to the other 1 times"),
    ("turns", "exit_codes", [0, 3], r"exit codes \[0, 3\]"),
    ("turns", "refused_with", 0, "holds 16 GiB: exit code 0"),
    ("turns", "holder_named", False, "holds 16 GiB: exit code 3"),
    ("turns", "named_exit_code", 3, "--gpus 0 beside it exits with 3"),
    ("digits-bayes", "causes", ["finished", "failed", "finished", "finished"], "failed"),
    ("digits-bayes", "values", [0.1], "best accuracy is 0.1"),
    ("digits-bayes", "cold_reasons", ["CUDA"], "started cold"),
    ("gpt-asha", "values", [None], "not finite"),
    ("gpt-asha", "exit_code", 4, "exits with 4"),
    ("gpt-asha", "asked", 8, "4 trials of 8"),
    ("compile-cache", "first_epoch_s", [20.0, 19.0], "the second trial compiles for 19.0 s"),
    ("compile-cache", "first_epoch_s", [20.0], "no times of two"),
    ("ddp", "backend", "gloo", "gloo instead of nccl"),
    ("ddp", "causes", ["failed"], "the trial"),
    ("watching", "inside_share", 0.02, "2.00% of the time"),
    ("watching", "gradients", {"share": 0.03, "error": 0.002, "n": 20}, "gradient sampling: "),
    ("watching", "gradients", {"share": 0.0, "error": 0.05, "n": 20}, "too noisy"),
    ("watching", "run_watch", {"share": 0.06, "error": 0.002, "n": 20}, r"run.watch beyond W&B's own cost: \+4.00%"),
    ("watching", "syncs_watched", 100, "100 synchronisations in 100 steps for 1 samples"),
    ("sampling", "busy", [50, 99], "busy: NVML 50"),
    ("sampling", "used_mib", [2000.0, 3000.0], "used_mib: NVML 2000"),
    ("sampling", "used_mib", [600.0, 600.0], "1024 MiB that a trial holds"),
    ("sampling", "power_w", [100.0, 500.0], "power_w: NVML 100"),
    ("packing", "per_hour", {"1": 1000.0, "2": 1000.0, "4": 1000.0, "8": 1000.0}, "four at once: 1.00 x"),
    ("packing", "per_hour", {"1": 1000.0, "2": 1900.0}, "only measured with 1, 2"),
    ("throughput", "cold", {"added_s": 0.1, "per_hour": 179.0, "n": 5}, "cold 179"),
    ("throughput", "tune", {"added_s": 0.1, "per_hour": 179.0, "n": 5}, "tune 179"),
]


@pytest.mark.parametrize("name", SOUND)
def test_figures_of_a_sound_gpu_pass(name):
    """They pass, and are shown."""
    verdict = judge(name, SOUND[name], ON_GPU)
    assert verdict.passed, verdict.failures
    assert verdict.shown


@pytest.mark.parametrize(("name", "figure", "value", "reason"), SPOILT)
def test_a_spoilt_figure_fails_for_its_reason(name, figure, value, reason):
    """One figure that is wrong is enough, and the reason says which."""
    figures = copy.deepcopy(SOUND[name]) | {figure: value}
    verdict = judge(name, figures, ON_GPU)
    assert len(verdict.failures) == 1
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(verdict.failures[0])


@pytest.mark.parametrize("name", SOUND)
def test_a_check_that_measured_nothing_fails(name):
    """It says what it lacks."""
    assert "ended before it had measured" in judge(name, {}, ON_GPU).failures[0]


def test_figures_that_make_no_sense_fail_and_do_not_cost_the_table():
    """Such as a list that is empty where none should be."""
    verdict = judge("packing", {"per_hour": {"1": None, "2": 1.0, "4": 1.0, "8": 1.0}}, ON_GPU)
    assert "cannot be judged: TypeError" in verdict.failures[0]


def test_every_check_has_a_judge_and_made_up_figures():
    """So that none is run and believed without one."""
    assert set(JUDGES) == set(SOUND) == {check.name for check in CHECKS} == {name for name, *_ in SPOILT}


def test_a_gpu_that_tells_no_power_is_judged_by_the_rest():
    """Some virtual GPUs do not."""
    assert judge("sampling", SOUND["sampling"] | {"power_w": None}, ON_GPU).passed


def test_a_dry_run_asks_for_no_speed():
    """A CPU that is shared with others may be as slow as it likes."""
    slow = SOUND["throughput"] | {"tune": {"added_s": 0.1, "per_hour": 999.0, "n": 5}}
    assert judge("throughput", slow, DRY).passed


def test_the_checks_fit_into_eight_minutes():
    """What they aim at, those of a stage beside each other, and what the whole may take at most."""
    every = stages({check.name for check in CHECKS})
    assert sum(max(check.aim_s for check in stage) for stage in every) <= TOTAL_S <= 480
    assert [check for stage in every for check in stage] == sorted(CHECKS, key=lambda check: check.stage)
