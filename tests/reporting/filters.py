"""What filters of trials mean: one table for the page's scripts and for `--where`."""

from tests.reporting.planted import Plan

SPEC = """
program: train.py
method: random
metric: {name: loss, goal: minimize}
parameters:
  x: {values: [1, 2, 4]}
  y: {values: ['1', '0', '2']}
  flag: {values: [true, false]}
  "act fn": {values: [null, "two words", ""]}
  lr: {values: [0.0012345678, 0.5]}
  wd: {min: 0.0, max: 1.0}
  state: {values: [done, 10]}
"""
RATE = 0.0012345678


def play(number, *_):
    """The loss tells trials apart; every seventh fails, and every fifth reports nothing."""
    rows = [] if number % 5 == 4 else [{"loss": 1 + number / 4}, {"loss": 2.5e-7 if number == 3 else 100.0}]
    if number % 7 == 6:
        return Plan(rows, cause="failed", error="ValueError: x<3 is bad")
    return Plan(rows, epoch_s=70 if number == 1 else 6)


def of_config(keeps):
    return lambda trial: keeps(trial.config)


FILTERS = {
    words: of_config(keeps)
    for words, keeps in {
        "x=1": lambda c: c["x"] == 1,
        "x==4": lambda c: c["x"] == 4,
        "X=1": lambda c: c["x"] == 1,
        "x=1.0": lambda c: c["x"] == 1,
        "x=+1": lambda c: c["x"] == 1,
        "x=0x1": lambda _: False,
        "x!=1": lambda c: c["x"] != 1,
        "x<2": lambda c: c["x"] < 2,
        "x>=2": lambda c: c["x"] >= 2,
        "x<=0": lambda _: False,
        "x=0": lambda _: False,
        "x=3": lambda _: False,
        "x=1e999": lambda _: False,
        "y=1": lambda c: c["y"] == "1",
        "y=0": lambda c: c["y"] == "0",
        "y=2 x=2": lambda c: c["y"] == "2" and c["x"] == 2,
        "y>0": lambda c: c["y"] > "0",
        "flag=true": lambda c: c["flag"],
        "flag=1": lambda _: False,
        "flag!=True": lambda c: not c["flag"],
        "flag>0": lambda _: False,
        '"act fn"="two words"': lambda c: c["act fn"] == "two words",
        "'act fn'=null": lambda c: c["act fn"] is None,
        '"act fn"=""': lambda c: c["act fn"] == "",
        '"act fn"=0': lambda _: False,
        '"act fn"<1': lambda _: False,
        '"two words"': lambda c: c["act fn"] == "two words",
        "TWO": lambda c: c["act fn"] == "two words",
        "lr=0.0012345678": lambda c: c["lr"] == RATE,
        "lr=0.0012346": lambda c: c["lr"] == RATE,
        "lr=1.2345678e-3": lambda c: c["lr"] == RATE,
        "lr=0.001235": lambda _: False,
        "lr<0.01": lambda c: c["lr"] == RATE,
        "lr=0": lambda _: False,
        "wd<0.5": lambda c: c["wd"] < 0.5,
        "wd>=.25 wd<5e-1": lambda c: 0.25 <= c["wd"] < 0.5,
        "state=10": lambda c: c["state"] == 10,
        "state>9": lambda c: c["state"] == 10,
        "state=done": lambda c: c["state"] == "done",
        "x=": lambda _: False,
        "=": lambda _: False,
        "": lambda _: True,
    }.items()
} | {
    "state=finished": lambda t: t.state == "finished",
    "state!=failed": lambda t: t.state != "failed",
    "STATE=Failed": lambda t: t.state == "failed",
    "loss<2": lambda t: t.value is not None and t.value < 2,
    "loss=1.5": lambda t: t.value == 1.5,
    "loss=2.5e-7": lambda t: t.number == 3,
    "2.5e-7": lambda t: t.number == 3,
    "loss!=1.5": lambda t: t.value != 1.5,
    "trial<10": lambda t: t.number < 10,
    "trial=3": lambda t: t.number == 3,
    "row=1": lambda t: t.step == 1,
    "row>=2": lambda t: t.step is not None and t.step >= 2,
    "time>100": lambda t: t.ended - t.started > 100,
    "time=2m21s": lambda t: t.number == 1,
    "where=gpubox": lambda _: False,
    "gpubox": lambda _: True,
    "note=''": lambda t: t.error is None,
    "ValueError": lambda t: t.state == "failed",
    '"x<3"': lambda t: t.state == "failed",
    "flags>0": lambda t: t.state == "failed",
}
"""What passes each filter."""

UNKNOWN = {
    "unknown=1": "there is no column unknown; there are trial, state, loss",
    "los<1": "did you mean loss?",
    "==": "no column =",
}
"""What compares columns that are not there: nothing passes on the page, `--where` says so."""
