"""From figures to pass or fail: pure, so that it is tested without a GPU. A check that was cut short fails for what it lacks."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Figures = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What figures have to reach.

    Attributes:
        start_ratio: A cold start to the first operation, in warm ones.
        n_starts: Starts on each side.
        n_ends: Trials after which memory was looked at.
        overhead: Share of a step that watching may take.
        noise: Standard error of that share above which nothing is known.
        cached: Compile time of a second trial, in those of the first.
        packed: Trials per hour with four at once, in those with one.
        packings: How many trials at once there are figures for.
        rivals: Trials per hour of ours, in those of the other ways.
        backend: What ddp speaks.
        syncs: Whether torch counts synchronisations.
    """

    start_ratio: float = 2.0
    n_starts: int = 20
    n_ends: int = 200
    overhead: float = 0.01
    noise: float = 0.01
    cached: float = 0.7
    packed: float = 1.3
    packings: int = 4
    rivals: float = 1.0
    backend: str = "nccl"
    syncs: bool = True


ON_GPU = Limits()
DRY = Limits(
    start_ratio=1.0,
    n_starts=2,
    n_ends=15,
    overhead=0.5,
    noise=1.0,
    cached=0.9,
    packed=0.0,
    packings=2,
    rivals=0.0,
    backend="gloo",
    syncs=False,
)
"""On a CPU, whatever it is shared with: the same path, no proof of speed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a check came to: why it failed, nothing if it passed; and its figures in a line or more."""

    failures: tuple[str, ...]
    shown: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing failed."""
        return not self.failures


def judge(name: str, figures: Figures, limits: Limits) -> Verdict:
    """Return what the figures of a check say."""
    failures, shown = JUDGES[name]
    return Verdict(failures=_all(failures(figures, limits)), shown=_all(shown(figures)))


def _all(lines: Iterator[str]) -> tuple[str, ...]:
    """Take lines until a figure is missing."""
    found = []
    try:
        found.extend(lines)
    except KeyError as missing:
        found.append(f"ended before it had measured {missing.args[0]!r}")
    except (TypeError, ValueError, LookupError) as error:  # the other checks are to have their table all the same
        found.append(f"the figures cannot be judged: {type(error).__name__}: {error}")
    return tuple(found)


def machine_failures(f: Figures, _limits: Limits) -> Iterator[str]:
    """There is a GPU."""
    if f["n_gpus"] < 1:
        yield "torch sees no GPU"


def machine_shown(f: Figures) -> Iterator[str]:
    """The card, and what it runs with."""
    yield f"{f['card']}, CUDA {f['cuda']}; nvidia-smi: {f['nvidia_smi'] or 'nothing'}"
    versions = ", ".join(f"{name} {version}" for name, version in f["versions"].items())
    yield f"Python {f['python']}, kernel {f['kernel']}, {f['cpus']} cores; {versions}"
    if f["unmet"]:
        yield f"not as it is wanted: {', '.join(f['unmet'])}"


def share_failures(f: Figures, _limits: Limits) -> Iterator[str]:
    """Each trial sees one GPU, the one it was given; four share it; no server has CUDA."""
    yield from _not_all("finished", f["causes"])
    if f["n_trials"] < 8:
        yield f"{f['n_trials']} of 8 trials said what they see"
    if f["cold_reasons"]:
        yield f"trials started cold: {f['cold_reasons'][0]}"
    if f["n_gpus"] != [1] or len(f["uuids"]) != 1:
        yield f"trials see {f['n_gpus']} GPUs, {len(f['uuids'])} different ones"
    if f["given"] != f["visible"] or len(f["given"]) != 1:
        yield f"given GPU {f['given']}, CUDA_VISIBLE_DEVICES {f['visible']}"
    if f["at_once"] != 4:
        yield f"{f['at_once']} trials at once instead of 4"
    if f["servers_with_cuda"] or f["inherited_cuda"]:
        yield f"CUDA was initialised in the warm server of {max(f['servers_with_cuda'], f['inherited_cuda'])} trials"


def share_shown(f: Figures) -> Iterator[str]:
    """What they saw."""
    yield f"{f['n_trials']} trials, {f['at_once']} at once, each sees {f['n_gpus']} GPU: CUDA_VISIBLE_DEVICES={f['visible']}"
    yield f"CUDA open in {f['servers_with_cuda']} servers, and in {f['trials_with_cuda']} trials after their first operation"


def starts_failures(f: Figures, limits: Limits) -> Iterator[str]:
    """Warm starts are faster, and there are enough of them."""
    for name in ("torch", "torch+wandb"):
        if f[name]["n"] < limits.n_starts:
            yield f"{name}: {f[name]['n']} starts of {limits.n_starts}"
        if f[name]["ratio"] < limits.start_ratio:
            yield f"{name}: python takes {f[name]['ratio']:.1f} x the time of a warm start, not {limits.start_ratio:g} x"


def starts_shown(f: Figures) -> Iterator[str]:
    """Medians and ratio of each."""
    for name in ("torch", "torch+wandb"):
        s = f[name]
        warm, cold = (
            f"{s[f'{side}_s']:.2f} s ({s[f'{side}_line_s']:.2f} to its first line)" for side in ("warm", "cold")
        )
        times = f"warm {warm}, python {cold}, {s['ratio']:.1f} x"
        yield f"{name}: {times} ({s['n']} each, {f['lanes']} at a time)"


def memory_failures(f: Figures, limits: Limits) -> Iterator[str]:
    """Memory was taken, and was back in time after every round."""
    if f["n_trials"] < limits.n_ends:
        yield f"{f['n_trials']} trials of {limits.n_ends}"
    if f["peak_mib"] < 256:
        yield f"trials took {f['peak_mib']} MiB at most: nothing to give back was seen"
    if f["late"]:
        yield f"after {f['late']} of {f['rounds']} rounds memory was not back within 2 s ({f['longest_wait_s']:.1f} s)"
    if f["wrong_causes"]:
        yield f"{f['wrong_causes']} trials had another cause than the one they were given: {'; '.join(f['first_wrong'])}"


def memory_shown(f: Figures) -> Iterator[str]:
    """Levels and times."""
    yield (
        f"{f['n_trials']} trials, five at a time: {f['before_mib']} MiB before, up to {f['peak_mib']} MiB more while they ran,"
        f" {f['after_mib']} MiB after; back after {f['longest_wait_s']:.2f} s at the latest"
    )


def out_of_memory_failures(f: Figures, _limits: Limits) -> Iterator[str]:
    """The cause is named, and the neighbours compute what they would have."""
    if f["out_of_memory"]["cause"] != "out_of_gpu_memory":
        yield f"the cause is {f['out_of_memory']['cause']}: {f['out_of_memory']['error']}"
    yield from _not_all("finished", f["neighbours"])
    results = f["results"]
    if None in results or max(results) - min(results) > 1e-4 * abs(max(results)):
        yield f"neighbours that do the same came to {results}"


def out_of_memory_shown(f: Figures) -> Iterator[str]:
    """Cause and error."""
    yield f"{f['out_of_memory']['cause']}: {_cut(f['out_of_memory']['error'])}; neighbours {', '.join(f['neighbours'])}"


def illegal_access_failures(f: Figures, _limits: Limits) -> Iterator[str]:
    """The trial fails for that reason; the next one and the neighbour work."""
    illegal = f["illegal"]
    if illegal["cause"] != "failed" or "illegal memory access" not in (illegal["error"] or ""):
        yield f"the trial that wrote where it may not: {illegal['cause']}, {illegal['error']}"
    yield from _works(f)
    yield from _not_all("finished", f["neighbours"])


def illegal_access_shown(f: Figures) -> Iterator[str]:
    """Cause and error."""
    illegal, others = f["illegal"], f"next trial {f['next']}, neighbour {', '.join(f['neighbours'])}"
    yield f"{illegal['cause']}: {_cut(illegal['error'])}; {others}"


def hang_failures(f: Figures, _limits: Limits) -> Iterator[str]:
    """SIGKILL ended it, soon after its grace period, and the GPU works."""
    if f["hung"]["signal"] != 9:
        yield f"not ended by SIGKILL: {f['hung']}"
    if f["ended_after_s"] > 2.0 + 10.0:
        yield f"it took {f['ended_after_s']:.1f} s to end it, of which 2 s are its grace"
    if not f["is_gone"]:
        yield "its process is still there"
    yield from _works(f)


def hang_shown(f: Figures) -> Iterator[str]:
    """Times."""
    yield f"ended {f['ended_after_s']:.1f} s after the request (2 s grace); the next trial took {f['next_after_s']:.1f} s"


def _works(f: Figures) -> Iterator[str]:
    if f["next"] != "finished" or f["product"] != 512.0**3:
        yield f"the next trial: {f['next']}, product {f['product']} instead of {512.0**3}"


def digits_failures(f: Figures, _limits: Limits) -> Iterator[str]:
    """All trials finished, started warm, with a sensible result."""
    yield from _swept(f, {"finished"})
    if max(f["values"], default=0) < 0.3:
        yield f"the best accuracy is {max(f['values'], default=None)}"


def gpt_failures(f: Figures, _limits: Limits) -> Iterator[str]:
    """All trials finished or were stopped by the rule, with finite losses."""
    yield from _swept(f, {"finished", "stopped"})
    if None in f["values"]:
        yield "a loss is not finite"


def ddp_failures(f: Figures, limits: Limits) -> Iterator[str]:
    """It finished, over the backend that the device has."""
    if f["causes"] != ["finished"]:
        yield f"the trial: {f['causes']}, {f['errors']}"
    if f["backend"] != limits.backend:
        yield f"it spoke {f['backend']} instead of {limits.backend}"


def _swept(f: Figures, causes: set[str]) -> Iterator[str]:
    if others := set(f["causes"]) - causes:
        yield f"trials came to {', '.join(sorted(others))}: {f['errors']}"
    if len(f["causes"]) < f["asked"]:
        yield f"{len(f['causes'])} trials of {f['asked']}"
    if f["cold_reasons"]:
        yield f"trials started cold: {f['cold_reasons'][0]}"
    if f["exit_code"]:
        yield f"sweep run exits with {f['exit_code']}"


def example_shown(f: Figures) -> Iterator[str]:
    """How many, how long, how good."""
    values = [value for value in f["values"] if value is not None]
    spread = f"{min(values):.3f} to {max(values):.3f}" if values else "none"
    over = f", {f['backend']}" if "backend" in f else ""
    yield f"{len(f['causes'])} trials in {f['seconds']:.0f} s, metric {spread}{over}"


def compile_failures(f: Figures, limits: Limits) -> Iterator[str]:
    """The second trial finds what the first compiled."""
    yield from _not_all("finished", f["causes"])
    times = f["first_epoch_s"]
    if len(times) < 2 or None in times[:2]:
        yield f"no times of two trials: {times}"
    elif times[1] > limits.cached * times[0]:
        wanted = f"at most {limits.cached:g} of it is wanted"
        yield f"the second trial compiles for {times[1]:.1f} s, the first for {times[0]:.1f} s: {wanted}"


def compile_shown(f: Figures) -> Iterator[str]:
    """Times of each trial."""
    yield "compiling, with the start of the device: " + ", ".join(
        f"{s:.1f} s" for s in f["first_epoch_s"] if s is not None
    )


def watching_failures(f: Figures, limits: Limits) -> Iterator[str]:
    """Ours is below the limit; run.watch costs no more in a trial than by itself; samples alone wait for the GPU."""
    if f["inside_share"] > limits.overhead:
        yield f"sampling takes {f['inside_share']:.2%} of the time (limit {limits.overhead:.0%})"
    yield from _above(f["gradients"], 0.0, "gradient sampling", limits)
    if limits.syncs and f["syncs_watched"] - f["syncs_unwatched"] > 2 * f["samples_while_counting"]:
        yield (
            f"{f['syncs_watched'] - f['syncs_unwatched']} synchronisations in {f['steps_per_block']} steps"
            f" for {f['samples_while_counting']} samples"
        )
    plain = f["run_watch_in_plain_python"]
    yield from _above(f["run_watch"], max(0.0, plain["share"]), "run.watch beyond W&B's own cost", limits)


def _above(overhead: Figures, base: float, what: str, limits: Limits) -> Iterator[str]:
    if overhead["error"] > limits.noise:
        yield f"{what}: too noisy to say ({overhead['share']:+.2%} with a standard error of {overhead['error']:.2%})"
    elif overhead["share"] - base - 2 * overhead["error"] > limits.overhead:
        yield f"{what}: {overhead['share'] - base:+.2%} of a step (limit {limits.overhead:.0%})"


def watching_shown(f: Figures) -> Iterator[str]:
    """Shares with their errors."""
    yield f"step of {f['step_s'] * 1e3:.2f} ms: sampling takes {f['inside_share']:.3%}, slower by {_share(f['gradients'])}"
    yield f"a sample takes {f['sample_s'] * 1e3:.2f} ms, the first, which loads its kernels, {f['first_sample_s'] * 1e3:.2f} ms"
    syncs = f"{f['syncs_unwatched']} without, {f['syncs_watched']} with {f['samples_while_counting']} samples"
    yield f"synchronisations in {f['steps_per_block']} steps: {syncs}"
    yield f"run.watch: {_share(f['run_watch'])} in a trial, {_share(f['run_watch_in_plain_python'])} in a plain Python"


def _share(overhead: Figures) -> str:
    return f"{overhead['share']:+.2%} ± {overhead['error']:.2%}"


def sampling_failures(f: Figures, _limits: Limits) -> Iterator[str]:
    """Both sides agree as well as two looks at different moments can."""
    for name, unit, slack, share in (
        ("busy", "%", 10.0, 0.0),
        ("used_mib", "MiB", 64.0, 0.01),
        ("power_w", "W", 15.0, 0.1),
    ):
        if f[name] is None:
            continue
        ours, theirs = f[name]
        if abs(ours - theirs) > slack + share * theirs:
            yield f"{name}: NVML {ours:.0f} {unit}, nvidia-smi {theirs:.0f} {unit}"
    if f["used_mib"][0] - f["idle_mib"] < 1024:
        yield f"1024 MiB that a trial holds are not seen: {f['idle_mib']} MiB before, {f['used_mib'][0]:.0f} MiB then"


def sampling_shown(f: Figures) -> Iterator[str]:
    """Medians of both."""
    power = f"{f['power_w'][0]:.0f} and {f['power_w'][1]:.0f} W" if f["power_w"] else "no power"
    yield (
        f"NVML and nvidia-smi, medians of {f['n']}: {f['busy'][0]:.0f} and {f['busy'][1]:.0f} % busy,"
        f" {f['used_mib'][0]:.0f} and {f['used_mib'][1]:.0f} MiB, {power}"
    )
    if "held_mib" in f:
        yield f"the trial's process is {f['pid']}; MiB by process {f['held_mib']}, its share of the time {f['own_busy']}"


def turns_failures(f: Figures, _limits: Limits) -> Iterator[str]:
    """Trials of two sweeps never overlap, both get the GPU in turn; what another program holds is left alone."""
    yield from _not_all("finished", f["causes"])
    if f["exit_codes"] != [0, 0] or f["n_trials"] != 6:
        yield f"{f['n_trials']} of 6 trials of two sweeps had the GPU; exit codes {f['exit_codes']}: {f['said']}"
    if f["overlaps"]:
        yield f"the GPU was given to two trials at once {f['overlaps']} times"
    if f["changes"] < 2:
        yield f"the GPU went from one sweep to the other {f['changes']} times"
    if "wanted_code" not in f:
        return
    if f["refused_with"] != f["wanted_code"] or not f["holder_named"]:
        yield f"beside a program that holds 16 GiB: exit code {f['refused_with']}, {_cut(f['refusal'])}"
    if f["named_exit_code"]:
        yield f"--gpus 0 beside it exits with {f['named_exit_code']}"


def turns_shown(f: Figures) -> Iterator[str]:
    """Order, and what was said of the held GPU."""
    turns = f"{f['overlaps']} overlaps, {f['changes']} changes of the sweep, {f['between_s']:.2f} s between trials"
    yield f"{f['n_trials']} trials of two sweeps: {turns}"
    if "refusal" in f:
        yield f"beside another program: {' '.join(f['refusal'].rpartition('error: ')[2].split())}"


def packing_failures(f: Figures, limits: Limits) -> Iterator[str]:
    """More trials at once are more trials per hour."""
    rates = f["per_hour"]
    if len(rates) < limits.packings:
        yield f"only measured with {', '.join(rates)} at once"
    elif limits.packed and rates["4"] < limits.packed * rates["1"]:
        yield f"four at once: {rates['4'] / rates['1']:.2f} x the trials per hour of one, at least {limits.packed:g} x is wanted"
    if "looks" in f and not (f["looks"] and len(f["own_mib"]) == f["looks"]):
        yield f"of {f['looks']} trials that were looked at, {len(f['own_mib'])} have memory of their own: {f['use_problems']}"


def packing_shown(f: Figures) -> Iterator[str]:
    """Rates."""
    one = f["per_hour"]["1"]
    yield "trials per hour: " + ", ".join(
        f"{k} at once {rate:.0f} ({rate / one:.1f} x)" for k, rate in f["per_hour"].items()
    )
    if f.get("own_mib"):
        busy = f"; each keeps it busy for {min(f['own_busy']):.0%} to {max(f['own_busy']):.0%}" if f["own_busy"] else ""
        yield f"a trial's own memory among these: {min(f['own_mib'])} to {max(f['own_mib'])} MiB{busy}"


def throughput_failures(f: Figures, limits: Limits) -> Iterator[str]:
    """Ours runs at least as many as the others."""
    ours = f["ours"]["per_hour"]
    for name in ("cold", "tune"):
        if ours < limits.rivals * f[name]["per_hour"]:
            yield f"{ours:.0f} trials per hour, {name} {f[name]['per_hour']:.0f}"


def throughput_shown(f: Figures) -> Iterator[str]:
    """A line for each way."""
    names = {"ours": "ours", "cold": "cold starts, as wandb agent's", "tune": "Tune, fresh actors"}
    for key, name in names.items():
        s = f[key]
        rate = f"{s['per_hour']:.0f} trials per hour of a {f['script_s']:.0f} s script"
        yield f"{name}: {rate} ({s['added_s']:.2f} s beyond training)"
    counts = ", ".join(str(f[key]["n"]) for key in names)
    yield f"scaled from {counts} trials that train {f['training_s']:g} s: what a trial takes beyond its training stays"


def _not_all(wanted: str, causes: list[str]) -> Iterator[str]:
    if set(causes) != {wanted}:
        yield f"trials came to {', '.join(sorted(set(causes))) or 'nothing'} instead of {wanted}"


def _cut(text: str | None) -> str:
    return "no error" if text is None else text if len(text) < 90 else f"{text[:87]}..."


Judge = tuple[Callable[[Figures, Limits], Iterator[str]], Callable[[Figures], Iterator[str]]]

JUDGES: dict[str, Judge] = {
    "machine": (machine_failures, machine_shown),
    "share": (share_failures, share_shown),
    "starts": (starts_failures, starts_shown),
    "memory": (memory_failures, memory_shown),
    "out-of-memory": (out_of_memory_failures, out_of_memory_shown),
    "illegal-access": (illegal_access_failures, illegal_access_shown),
    "hang": (hang_failures, hang_shown),
    "digits-bayes": (digits_failures, example_shown),
    "gpt-asha": (gpt_failures, example_shown),
    "compile-cache": (compile_failures, compile_shown),
    "ddp": (ddp_failures, example_shown),
    "watching": (watching_failures, watching_shown),
    "sampling": (sampling_failures, sampling_shown),
    "turns": (turns_failures, turns_shown),
    "packing": (packing_failures, packing_shown),
    "throughput": (throughput_failures, throughput_shown),
}
