import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.errors import SweepError
from orchestrator.reporting.facts import read_facts
from orchestrator.reporting.filter import columns_of, kept, passing
from orchestrator.reporting.page.bundle import SCRIPTS
from orchestrator.reporting.page.payload import payload
from orchestrator.reporting.usage import usage_of
from orchestrator.trial.contract.resource_use import GpuUse, Look, Use
from tests.reporting.filters import FILTERS, SPEC, UNKNOWN, play
from tests.reporting.planted import plant

DENO = Path(sys.executable).with_name("deno")
ON_THE_PAGE = """
const [data, filters] = JSON.parse(await new Response(Deno.stdin.readable).text());
const page = (name) => import(`%s/${name}.js`);
const { readColumns } = await page("columns"), { refilter } = await page("filter"), { load, store } = await page("state");
load(data);
readColumns();
const kept = filters.map((text) => {
  store.text = text;
  refilter();
  return [...store.kept.keys()].filter((i) => store.kept[i]);
});
console.log(JSON.stringify(kept));
"""


@pytest.fixture(scope="module")
def facts(tmp_path_factory):
    """Trials with parameters of every kind, failures, notes and flags; two of them were looked at."""
    sweep_dir = plant(tmp_path_factory.mktemp("runs"), n=60, spec=SPEC, play=play)
    for number, busy in ((3, 0.25), (4, 0.75)):
        gpu = GpuUse(
            gpu="0", busy=busy, own_busy=None, used_bytes=6 << 30, own_bytes=None, total_bytes=80 << 30, power_w=None
        )
        use = Use(n_looks=1, seconds=1.0, cpus=1.0, rss_bytes=number << 30, n_processes=1, gpus=(gpu,))
        sweep_dir.trial(number).use_path.write_text(Look(attempt=0, time=1e9, now=use, so_far=use).encode())
    return read_facts(sweep_dir)


def test_a_filter_means_the_same_on_the_page_and_in_a_terminal(facts, tmp_path):
    """Both agree with the table: categories by what they are, quotes, numbers in any form, null, complements, texts."""
    trials, columns = facts.results.trials, columns_of(facts)
    wanted = {words: [t.number for t in trials if keeps(t)] for words, keeps in FILTERS.items()}
    wanted |= {"gpu>50": [4], "gpu=25 memory=3": [3], "cpus>=1 gpu>50": [4], '"gpu memory">=6': [3, 4]}
    assert {words: passing(words, columns, len(trials)) for words in wanted} == wanted
    (tmp_path / "ask.ts").write_text(ON_THE_PAGE % SCRIPTS.as_uri())
    page = subprocess.run(
        [DENO, "run", "--no-config", "--no-check", "--allow-read", "ask.ts"],
        input=json.dumps([payload(facts, (), usage_of(facts)), [*wanted, *UNKNOWN]]),
        cwd=tmp_path,
        env=os.environ | {"DENO_DIR": str(tmp_path / "deno"), "DENO_NO_UPDATE_CHECK": "1", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert page.returncode == 0, page.stderr
    found = dict(zip([*wanted, *UNKNOWN], json.loads(page.stdout), strict=True))
    assert found == wanted | {words: [] for words in UNKNOWN}


@pytest.mark.parametrize(("words", "said"), UNKNOWN.items())
def test_a_column_that_is_not_there_is_said(facts, words, said):
    """In a terminal, where a filter is not mended while it is typed: with the near one, or with all of them."""
    with pytest.raises(SweepError, match=said):
        kept(facts, [words])


def test_what_is_kept_is_a_smaller_sweep(facts):
    """Trials, curves, attempts and counts go together, and the best is the best of these; filters are joined by *and*."""
    few = kept(facts, ["loss>3", "trial<30"])
    numbers = {trial.number for trial in few.results.trials}
    assert few.results.ranked[0].value == min(t.value for t in facts.results.trials if t.number in numbers and t.scores)
    assert set(few.curves) <= numbers
    assert {attempt.trial for attempt in few.attempts} == numbers
    assert sum(few.counts.values()) == len(numbers)
    assert kept(facts, None) is facts


def test_lists_are_filtered_without_numpy():
    """What the page's data is made with is read where trials are filtered alone: `sweep ls` answers at once."""
    code = "import sys, orchestrator.reporting.filter; print('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "False\n"
