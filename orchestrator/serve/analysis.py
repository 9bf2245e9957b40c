"""What takes seconds to say of a sweep: the report's advice, importances and failures, as parts of a page."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrator.diagnosis.model import Flag
from orchestrator.layout import SweepDir
from orchestrator.reporting.advice import advice_for
from orchestrator.reporting.facts import read_facts
from orchestrator.reporting.importance import Importance, importances
from orchestrator.reporting.page.sections import Content, sections
from orchestrator.reporting.usage import usage_of
from orchestrator.serve.shell import fragment
from orchestrator.trial.contract.resource_use import Use


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """What came of one look at everything.

    Attributes:
        flags: What is wrong with trials, by number.
        uses: What they used of their machine, by number.
        sections: Parts of the page as HTML in which every text is escaped.
        cost_s: Seconds of a CPU that it took.
    """

    importances: Sequence[Importance]
    flags: Mapping[int, Sequence[Flag]]
    uses: Mapping[int, Use]
    sections: str
    cost_s: float


def analyse(sweep_dir: SweepDir) -> Analysis:
    """Return what the report would say now.

    Raises:
        LedgerError: The ledger cannot be read.
    """
    began_s = time.thread_time()
    facts = read_facts(sweep_dir)
    found, usage = importances(facts), usage_of(facts)
    content = Content(facts=facts, importances=found, usage=usage, advice=advice_for(facts, found, usage))
    return Analysis(
        importances=found,
        flags=facts.flags,
        uses=facts.uses,
        sections=fragment(sections(content), trials_at=f"/sweeps/{sweep_dir.sweep_id}"),
        cost_s=time.thread_time() - began_s,
    )
