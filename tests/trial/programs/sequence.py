"""Does to a W&B run what a file says: one call after the other. Run by itself, and as a trial."""

import json
import multiprocessing
import os
import sys
import threading

import wandb

SETTINGS = {"silent": True, "console": "off", "x_disable_stats": True, "x_disable_meta": True, "disable_git": True}


def begin(run_id):
    return wandb.init(id=run_id, project="p", settings=wandb.Settings(**SETTINGS))


def fold(row):
    for name in [name for name in os.environ if name.startswith("WANDB_") and name not in {"WANDB_MODE", "WANDB_DIR"}]:
        del os.environ[name]
    with begin(None) as run:
        run.log(row)


def rank(run, row):
    run.log(row, commit=False)


def log(run, calls):
    for row, keywords in calls:
        run.log(row, **keywords)


def do(run, run_id, what, *given):
    match what:
        case "log":
            log(run, [given])
        case "threads":
            threads = [threading.Thread(target=log, args=(run, calls)) for calls in given]
            [thread.start() for thread in threads]
            [thread.join() for thread in threads]
        case "define":
            run.define_metric(given[0], **given[1])
        case "set":
            run.summary[given[0]] = given[1]
        case "update":
            run.summary.update(given[0])
        case "delete":
            if given[0] in run.summary.keys():
                del run.summary[given[0]]
        case "deep":
            run.summary["deep"] = {}
            run.summary["deep"]["x"] = given[0]
        case "again":
            run.finish()
            return begin(run_id)
        case "beside":
            with wandb.init(id=f"{run_id}-x", reinit="create_new", settings=wandb.Settings(**SETTINGS)) as other:
                other.log(given[0])
        case "child":
            process = multiprocessing.get_context("fork").Process(target=run.summary.update, args=given)
            process.start()
            process.join()
        case "fold":
            process = multiprocessing.get_context("fork").Process(target=fold, args=given)
            process.start()
            process.join()
    return run


def run_all(sequences):
    for run_id, calls in sequences:
        run = begin(run_id)
        for call in calls:
            run = do(run, run_id, *call)
        run.finish()


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        run_all(json.load(file))
