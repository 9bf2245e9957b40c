"""Which checks there are, in which order, and how long each may take: eight minutes in all on one GPU with 16 cores."""

from dataclasses import dataclass

TOTAL_S = 465.0
"""For all checks; with unpacking before them, eight minutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A check.

    Attributes:
        name: Its name on the command line and in the table.
        item: The group of rows it belongs to in the table.
        title: What it proves, in a line.
        limit_s: Seconds after which it is killed, and counts as failed with what it had measured.
        aim_s: Seconds that it aims at; checks that repeat something repeat it until then.
        stage: Checks of a stage run beside each other; those that measure speed or memory have one of their own.
        function: ``module:function`` below `tests.gpu.checks`.
    """

    name: str
    item: int
    title: str
    limit_s: float
    aim_s: float
    stage: int
    function: str


CHECKS = (
    Planned(
        name="machine",
        item=0,
        title="what this was measured on",
        limit_s=30,
        aim_s=6,
        stage=0,
        function="seeing:machine",
    ),
    Planned(
        name="share",
        item=1,
        title="four trials share a GPU at gpu: 0.25, each sees it alone, no warm server has CUDA",
        limit_s=90,
        aim_s=30,
        stage=1,
        function="seeing:share",
    ),
    Planned(
        name="digits-bayes",
        item=4,
        title="sweeps/digits-bayes.yaml runs on the GPU",
        limit_s=100,
        aim_s=55,
        stage=1,
        function="examples:digits",
    ),
    Planned(
        name="gpt-asha",
        item=4,
        title="sweeps/gpt-asha.yaml runs with mixed precision and torch.compile",
        limit_s=110,
        aim_s=72,
        stage=1,
        function="examples:gpt",
    ),
    Planned(
        name="compile-cache",
        item=4,
        title="trials share the compile cache",
        limit_s=110,
        aim_s=72,
        stage=1,
        function="examples:compile_cache",
    ),
    Planned(
        name="ddp",
        item=4,
        title="sweeps/ddp.yaml runs with one process over NCCL",
        limit_s=80,
        aim_s=25,
        stage=1,
        function="examples:ddp",
    ),
    Planned(
        name="turns",
        item=8,
        title="two sweeps take turns at one GPU; a GPU that another program holds is left out",
        limit_s=90,
        aim_s=50,
        stage=1,
        function="turns:turns",
    ),
    Planned(
        name="illegal-access",
        item=3,
        title="an illegal memory access leaves neighbours and the next trial unharmed",
        limit_s=60,
        aim_s=23,
        stage=1,
        function="faults:illegal_access",
    ),
    Planned(
        name="sampling",
        item=6,
        title="NVML's utilisation, memory and power agree with nvidia-smi",
        limit_s=60,
        aim_s=10,
        stage=2,
        function="sampling:sampling",
    ),
    Planned(
        name="out-of-memory",
        item=3,
        title="CUDA out of memory is that cause, neighbours are unharmed",
        limit_s=60,
        aim_s=16,
        stage=3,
        function="faults:out_of_memory",
    ),
    Planned(
        name="memory",
        item=2,
        title="GPU memory is back within 2 s after 200 trials that end in five ways",
        limit_s=100,
        aim_s=50,
        stage=6,
        function="memory:memory",
    ),
    Planned(
        name="starts",
        item=1,
        title="from the request to the first CUDA operation, warm against python",
        limit_s=90,
        aim_s=62,
        stage=7,
        function="starts:starts",
    ),
    Planned(
        name="watching",
        item=5,
        title="run.watch and gradient sampling cost below 1 % of a small GPT's step, without hidden synchronisation",
        limit_s=75,
        aim_s=52,
        stage=8,
        function="watching:watching",
    ),
    Planned(
        name="packing",
        item=6,
        title="small trials per hour with 1, 2, 4 and 8 on the GPU",
        limit_s=90,
        aim_s=50,
        stage=9,
        function="rates:packing",
    ),
    Planned(
        name="throughput",
        item=7,
        title="trials per hour of a 20 s script: ours, cold starts as wandb agent's, Tune with fresh actors",
        limit_s=140,
        aim_s=115,
        stage=10,
        function="rates:throughput",
    ),
    Planned(
        name="hang",
        item=3,
        title="a hang in a kernel is ended by SIGKILL, and the GPU is usable",
        limit_s=60,
        aim_s=13,
        stage=11,
        function="faults:hang",
    ),
)


def named(name: str) -> Planned:
    """Return the check of a name."""
    return next(check for check in CHECKS if check.name == name)


def stages(names: set[str]) -> list[list[Planned]]:
    """Return the checks of these names, those of a stage together, in order."""
    chosen = [check for check in CHECKS if check.name in names]
    return [[c for c in chosen if c.stage == stage] for stage in sorted({check.stage for check in chosen})]
