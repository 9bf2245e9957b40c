"""Every module has a test file that mirrors it, or one that is named here and proves it along with others."""

from fnmatch import fnmatch
from pathlib import Path

from tests.conftest import LONGEST_FIRST

ROOT = Path(__file__).parents[1]

ALONG_WITH = {
    # what only says what things are called: whoever uses it proves it
    "test_layout.py": "errors.py extras.py",
    "execution/test_pool_contract.py": "execution/protocol.py execution/ray/authentication.py execution/ray/own_cluster.py "
    "execution/ray/pool.py execution/ray/probe.py execution/ray/starting.py "
    "execution/ray/worker.py execution/ray/workers.py",
    "execution/test_pool_faults.py": "execution/node_faults.py",
    "execution/ray/test_shipping.py": "execution/ray/node_dir.py",
    "execution/ray/test_carried.py": "execution/ray/package.py",
    "interpreters/test_probe.py": "interpreters/cache.py interpreters/self_report.py",
    "ledger/test_store.py": "ledger/attempts.py ledger/curves.py ledger/database.py ledger/decisions.py ledger/metrics.py "
    "ledger/records.py ledger/read_only.py ledger/requests.py ledger/rows.py ledger/scores.py ledger/search_memory.py "
    "ledger/sweep_row.py",
    "diagnosis/test_planted.py": "diagnosis/cases.py diagnosis/examine.py diagnosis/health_monitor.py diagnosis/model.py",
    "stopping/test_contract.py": "stopping/factory.py stopping/protocol.py",
    "trial/contract/test_messages.py": "trial/contract/events.py trial/contract/launch.py trial/contract/text_enum.py",
    # a library's file is proven by scripts that use the library, a search by what it proposes, whatever its parts
    "arguments/test_against_spec.py": "arguments/*",
    "search/test_contract.py": "search/*",
    "space/test_kinds.py": "space/axis.py",
    # commands are proven by running them
    "cli/test_commands.py": "cli/commands/control.py cli/commands/logs.py cli/commands/ls.py cli/commands/run.py "
    "cli/foreground.py cli/growing_log.py session.py",
    "cli/test_takehome.py": "cli/commands/best.py cli/commands/compare.py cli/commands/export.py cli/commands/show.py "
    "cli/facts_data.py reporting/compare.py reporting/narrow.py reporting/recipe.py reporting/study.py",
    "cli/watching/test_app.py": "cli/commands/watch.py cli/watching/asking.py cli/watching/following_screen.py "
    "cli/watching/head.py cli/watching/pane_view.py cli/watching/screens.py cli/watching/sweep_screen.py "
    "cli/watching/sweeps_screen.py cli/watching/takehome.py cli/watching/trial_rows.py",
    "cli/watching/test_panes.py": "cli/watching/weighing.py",
    "cli/test_naming.py": "cli/commands/report.py cli/options.py",
    "cli/test_detached.py": "cli/commands/attach.py",
    "cli/test_try.py": "cli/commands/try_.py cli/trying.py cli/trying_text.py",
    "cli/commands/test_check.py": "cli/specs.py",
    "cli/commands/test_init.py": "cli/first_spec.py",
    "cli/commands/test_keeping.py": "cli/commands/labels.py",
    "cli/commands/test_nodes.py": "cli/nodes_text.py",
    "machines/test_cluster.py": "machines/keeper.py machines/ssh.py",
    "cli/commands/test_repair.py": "cli/damage.py control/repair.py ledger/damage.py ledger/salvage.py",
    "cli/test_terminal.py": "printable.py",
    "api/test_sweeps.py": "api/results.py api/watching.py wandb.py",
    "api/test_driver.py": "api/wandb_api.py",
    "api/test_driving.py": "api/served.py",
    "cli/commands/test_submit.py": "cli/heads.py cli/commands/_head.py cli/commands/fetch.py remote/job_head.py "
    "remote/on_head.py remote/request.py",
    # parts of what is proven as a whole
    "control/test_controller.py": "control/closing.py control/culling.py control/judge.py control/knowledge.py control/room.py "
    "control/running.py control/showing.py control/timesheet.py control/trials.py",
    "remote/test_fetching.py": "ledger/copies.py remote/sending.py",
    "remote/test_landing.py": "project/sent.py remote/parcel.py",
    "reporting/test_files.py": "reporting/experiment.py reporting/results.py reporting/table.py",
    "reporting/test_importance.py": "reporting/basis.py reporting/decomposition.py reporting/finals.py",
    "reporting/test_advice.py": "reporting/facts.py reporting/usage.py reporting/wording.py",
    "reporting/page/test_sections.py": "reporting/environment.py",
    "serve/test_server.py": "serve/compare_topic.py serve/files.py serve/headline.py serve/hub.py "
    "serve/index_topic.py serve/metrics.py serve/trial_topic.py",
    "serve/test_sweep_topic.py": "serve/analysis.py",
    "upload/test_uploads.py": "upload/beside.py upload/client.py upload/process.py upload/relay.py upload/runs.py",
    "storage/test_beside.py": "storage/process.py",
    "storage/test_mirror.py": "storage/contents.py",
    "watch/test_follower.py": "ledger/bulletin.py watch/recorder.py",
    "watch/test_notifier.py": "watch/apprise_child.py watch/messengers.py",
    "watch/test_live.py": "watch/collation.py watch/json_lines.py watch/outlet.py watch/plain.py watch/progress.py",
    # what runs inside of a trial is proven by trials
    "trial/capture/test_hub.py": "trial/capture/environment.py trial/capture/guard.py trial/capture/process.py "
    "trial/capture/sigterm.py trial/capture/tensorboard_calls.py trial/capture/wandb_mirror.py "
    "trial/capture/wandb_runs.py",
    "trial/capture/test_kept.py": "trial/capture/claims.py trial/capture/kept_artifacts.py trial/capture/kept_files.py "
    "trial/contract/conflicts.py",
    "trial/capture/test_gradients.py": "trial/contract/watched.py",
    "trial/capture/test_media.py": "trial/capture/media_mirror.py",
    "trial/capture/test_nested.py": "arguments/starting_call.py trial/contract/nested_sweep.py",
    "trial/capture/test_wandb_calls.py": "trial/capture/wandb_lines.py",
    "trial/runner/test_runner.py": "trial/capture/hook/sitecustomize.py trial/contract/end_record.py "
    "trial/fork_server/server.py trial/runner/warm_servers.py trial/wandb_core.py",
    "trial/test_wandb_modes.py": "trial/capture/wandb_opening.py trial/program/wandb_env.py",
    "trial/environments/test_matrix.py": "trial/fork_server/rehearsal.py",
}
"""Modules without a test file of their own, by the file whose tests go through them."""


def modules():
    """Every module of the package by its path in it; what a package says of itself is none."""
    package = ROOT / "orchestrator"
    return [path.relative_to(package) for path in package.rglob("*.py") if path.name != "__init__.py"]


def mirror(module):
    """The test file that a module would have: ``try_.py`` has ``test_try.py``."""
    return module.parent / f"test_{module.stem.rstrip('_')}.py"


def test_every_module_is_mirrored_or_named():
    """Whoever adds a module adds its tests, or says whose tests go through it."""
    named = [pattern for listed in ALONG_WITH.values() for pattern in listed.split()]
    found = modules()
    assert len(found) > 200
    without = [str(module) for module in found if not (ROOT / "tests" / mirror(module)).is_file()]
    assert not [module for module in without if not any(fnmatch(module, pattern) for pattern in named)]


def test_the_list_names_what_is_there():
    """Files of tests that exist, and modules that exist and have no file of their own."""
    assert not [name for name in ALONG_WITH if not (ROOT / "tests" / name).is_file()]
    assert not [name for name in LONGEST_FIRST if not (ROOT / name).is_file()]
    listed = [Path(name) for names in ALONG_WITH.values() for name in names.split() if "*" not in name]
    assert not [name for name in listed if not (ROOT / "orchestrator" / name).is_file()]
    assert not [name for name in listed if (ROOT / "tests" / mirror(name)).is_file()]
