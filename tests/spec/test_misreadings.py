"""What W&B reads otherwise than its author means: a table of forms that people write, with what is said about them."""

import pytest
import yaml

from orchestrator.spec.misreadings import Scalar, in_pieces, misreading
from tests.spec.readings import read, with_parameter

# what stands in `a: ...` of the parameters, where the finding is, words of its message, the fix
VALUES = [
    ("{values: [2, 4, None]}", "values[2]", "reads None as a string, not as Python's None", "null"),
    ("{value: None}", "value", "reads None as a string, not as Python's None", "null"),
    ("{values: [none, 1, 2]}", "values[0]", "reads none as a string, not as null", "null"),
    ("{values: [N/A, 1]}", "values[0]", "not as null", "null"),
    ("{values: [0.5, inf]}", "values[1]", "not as infinity", ".inf"),
    ("{values: [-inf, 0.5]}", "values[0]", "not as infinity", "-.inf"),
    ("{values: [np.inf, 1.0]}", "values[0]", "not as infinity", ".inf"),
    ("{values: [Infinity, 1.0]}", "values[0]", "not as infinity", ".inf"),
    ("{value: float('inf')}", "value", "not as infinity", ".inf"),
    ("{values: [nan, 0.0]}", "values[0]", "not as not-a-number", ".nan"),
    ("{values: [NaN, mean]}", "values[0]", "not as not-a-number", ".nan"),
    ("{values: [(3, 3), (5, 5)]}", "values[0]", '(3, 3) as 2 values: "(3", "3)"', "[3, 3]"),
    ("{values: [(64, 32, 16), 1]}", "values[0]", "as 3 values", "[64, 32, 16]"),
    ("{values: [range(1, 5)]}", "values[0]", "range(1, 5) as 2 values", None),
    ("{values: [np.logspace(-4, -1, 4)]}", "values[0]", "as 3 values: ", None),
    ("\n   values:\n   - (3, 3)", "values[0]", "not as a tuple", "[3, 3]"),
    ("\n   values:\n   - (relu, tanh)", "values[0]", "not as a tuple", "[relu, tanh]"),
    ("\n   values:\n   - range(10)", "values[0]", "nothing is computed", None),
    ("\n   value: lambda x", "value", "nothing is computed", None),
    ("{values: [2**-3, 0.5]}", "values[0]", "not as a number", "0.125"),
    ("{values: [+1*2]}", "values[0]", "not as a number", "2"),
    ("{values: [2^10]}", "values[0]", "not as a number", "1024"),
    ("{values: [10^-3]}", "values[0]", "not as a number", "0.001"),
    ("{values: [8/255, 16/255]}", "values[0]", "not as a number", "0.0313725490196"),
    ("{values: [3*64]}", "values[0]", "not as a number", "192"),
    ("{values: [2*(1+2)]}", "values[0]", "not as a number", "6"),
    ("{values: [10%, 20%]}", "values[1]", "not as a share", "0.2"),
    ("{value: 0.5 %}", "value", "not as a share", "0.005"),
    ("{values: [0.1 0.2, 0.3]}", "values[0]", "not as several numbers", "0.1, 0.2"),
    ("{values: [16 32 64]}", "values[0]", "not as several numbers", "16, 32, 64"),
    ("{values: [0.1; 0.2]}", "values[0]", "not as several numbers", "0.1, 0.2"),
    ("{values: [16|32]}", "values[0]", "not as several numbers", "16, 32"),
    ("\n   values:\n   - 0.1, 0.2", "values[0]", "not as several numbers", "0.1, 0.2"),
    ("\n   values:\n   - 1\n   - 2,3", "values[1]", "not as several numbers", "2, 3"),
    ("\n   values:\n   - 0,5", "values[0]", "decimal point", "0.5"),
    ("\n   values:\n   - 1,000", "values[0]", "not as a number", "1000"),
    ("{values: [1,000, 2000]}", "values[0]", "1,000 as 2 values: 1, 0", "1000"),
    ("\n   values:\n   - 0.1,", "values[0]", "without the mark at its end", "0.1"),
    ("\n   values:\n   - adam,\n   - sgd", "values[0]", "without the mark at its end", "adam"),
    ("{values: [1-5]}", "values[0]", "not as a range", "{min: 1, max: 5}"),
    ("{values: [1..5]}", "values[0]", "not as a range", "{min: 1, max: 5}"),
    ("{values: [1 to 5]}", "values[0]", "not as a range", "{min: 1, max: 5}"),
    ("{values: [1, 2, ..., 10]}", "values[2]", "not as the values between", None),
    ("{values: [0.1#low]}", "values[0]", "a comment begins with a space and #", "0.1"),
    ("{values: [0.1 // low]}", "values[0]", "a value with a remark", "0.1"),
    ("{values: [true#best]}", "values[0]", "a value with a remark", "true"),
    ("{values: [\u22121, 1]}", "values[0]", "not as a number", "-1"),
    ("{values: [1e\u22123]}", "values[0]", "not as a number", "0.001"),
    ("{values: [1x10^-3]}", "values[0]", "not as a number", "0.001"),
    ("{values: [1 e-3]}", "values[0]", "not as a number", "0.001"),
    ("{values: [1e^-3]}", "values[0]", "not as a number", "0.001"),
    ("{values: [e-3]}", "values[0]", "not as a number", "0.001"),
    ("{values: [0o17]}", "values[0]", "an octal number", "15"),
    ("{values: [08, 16]}", "values[0]", "begins with 0 is octal", "8"),
    ("{values: [0.1f, 0.2]}", "values[0]", "not as a number", "0.1"),
    ("{values: [10k, 20000]}", "values[0]", "a number, among which it stands", None),
    ("{values: [--0.5, 0.5]}", "values[0]", "a number, among which it stands", None),
    ("{values: [\u201cadam\u201d, sgd]}", "values[0]", "a text in quotes", '"adam"'),
    ("{values: [adam', sgd]}", "values[0]", "a text in quotes", '"adam"'),
    ("{values: [tRUE, false]}", "values[0]", "not as true", "true"),
    ('{values: ["True", "False"]}', "values[1]", "is true in Python", "false"),
    ('{values: [true, "no"]}', "values[1]", "is true in Python", "false"),
    ('{values: ["0.1", 0.2]}', "values[0]", "stands among numbers", "0.1"),
    ("{values: [-.5, 0.5]}", "values[0]", "YAML 1.1 reads -.5 as a string", "-0.5"),
    ("{values: [.5e3, 1.0]}", "values[0]", "YAML 1.1 reads .5e3 as a string", "500.0"),
    ("{values: [1e-3, 1E5]}", "values[1]", "YAML 1.1 reads 1E5 as a string", "100000.0"),
    ("{values: [010, 16]}", "values[0]", "YAML 1.1 reads 010 as 8", '"010"'),
    ("{values: [12:30]}", "values[0]", "YAML 1.1 reads 12:30 as 750", '"12:30"'),
    ("{values: [yes, no]}", "values[0]", "YAML 1.1 reads yes as true", '"yes"'),
    ("{values: [on, off]}", "values[1]", "YAML 1.1 reads off as false", '"off"'),
    ("\n   values:\n   -\n   - 3", "values[0]", "is empty: YAML reads null", "null"),
    ("{values: [[0.9, None]]}", "values[0][1]", "Python's None", "null"),
    ("{values: [[0.9, 1e-3]]}", "values[0][1]", "YAML 1.1 reads 1e-3 as a string", "0.001"),
    ("{value: {clip: None}}", "value.clip", "Python's None", "null"),
    # bounds, and what is no list: W&B refuses them
    ("{min: 2**-3, max: 1.0}", "min", "'2**-3' is not a number", "0.125"),
    ("{min: 10%, max: 1.0}", "min", "'10%' is not a number", "0.1"),
    ("{min: 0.0, max: inf}", "max", "'inf' is not a number", None),
    ("{min: None, max: 1.0}", "min", "'None' is not a number", None),
    ("\n   min: 1\n   max: 1,000", "max", "'1,000' is not a number", "1000"),
    ("{min: 1, max: 08}", "max", "'08' is not a number", "8"),
    ("{min: log(0.1), max: 1.0}", "min", "'log(0.1)' is not a number", None),
    ("{min:1, max: 5}", "min:1", "means nothing here", None),
    ("{min=1, max=5}", "max=5", "means nothing here", None),
    ("{value: (3, 3)}", "3)", "does not belong to constant", None),
    ("{values: 0.1 0.2}", "values", "is not a list", "[0.1, 0.2]"),
    ("\n   values: 1, 2, 3", "values", "is not a list", "[1, 2, 3]"),
    ("\n   values: (1, 2)", "values", "is not a list", "[1, 2]"),
    ("\n   values: 1-5", "values", "is not a list", "{min: 1, max: 5}"),
    ("\n   values: range(1, 5)", "values", "is not a list", None),
    ("{values: adam}", "values", "is not a list", "[adam]"),
    ("{values: 5}", "values", "is not a list", "[5]"),
    ("{dist: uniform, min: 1, max: 2, low: 1}", "dist", "does not belong to int_uniform", None),
    ("{low: 1, high: 2}", "low", "means nothing here", None),
    ("{choices: [1, 2]}", "choices", "means nothing here", None),
]  # fmt: skip

FINE = [
    "{values: [adam, sgd, null]}", "{values: [none, cosine]}", "{values: ['None', l2]}", "{values: [auto, sqrt, 0.5]}",
    "{values: [64-32, 128-64]}", "{values: [80/20, 70/30]}", "{values: [3d, 2d]}", "{values: [10k, 100k]}",
    "{values: [resnet18, vit_b_16, efficientnet-b0]}", "{values: [torch.optim.Adam, torch.nn.ReLU]}",
    "{values: [relu(), tanh()]}", "{values: ['3,4,5', '2,3,4']}", "{values: ['1e-3', '1e-4']}", "{values: [1.0e-3, 1]}",
    "{values: [1_000, 0x10, 0b11]}", "{values: [.inf, .nan, ~]}", "{values: [True, false]}", "{values: ['off', 'on']}",
    "{values: [[3, 3], [5, 5]]}", "{values: [v1.2.3, 1.2.3]}", "{values: ['(3, 3)', '(5, 5)']}", "{values: [8x8, 10x10]}",
    "{values: [s3://bucket/x, /data/y, C#]}", "{values: [gpt2 medium, hello world]}", "{values: [data/train.csv]}",
    "{values: ['[1, 2]', '[3]']}", "{value: 1-5-2}", "{value: '{\"a\": 1}'}", "{values: [x(1), f(x)]}",
    "{values: [1h, 30m]}", "{value: https://x.org/a?b=1}", "{values: [a, b (old)]}", f"{{value: {'1 ' * 150}x}}",
]  # fmt: skip


@pytest.mark.parametrize(("given", "where", "message", "fix"), VALUES)
def test_what_yaml_reads_otherwise_is_named_with_its_fix(given, where, message, fix):
    """Each form gets a finding at its place, which says what is read and, where one can know, what to write."""
    found = [f for f in with_parameter(given).findings if f.where == f"parameters.a.{where}" and message in f.message]
    assert [f.fix for f in found] == [fix]
    assert found[0].hint or found[0].fix


def test_the_table_is_long():
    """At least 60 forms."""
    assert len({given for given, *_ in VALUES}) >= 60


@pytest.mark.parametrize("given", FINE)
def test_what_is_meant_as_it_is_read_is_not_named(given):
    """Names, paths, versions, quoted text, and numbers in every form that YAML 1.1 knows."""
    assert with_parameter(given).findings == ()


@pytest.mark.parametrize("given", [row[0] for row in VALUES])
def test_a_value_that_is_named_stays_what_wandb_reads(given):
    """But for exponents, which are numbers here: the finding does not change what runs."""
    spec = with_parameter(given).spec
    as_read = yaml.safe_load(f"a: {given}")["a"]
    if spec is None or "1e-3" in given or "-.5" in given or ".5e3" in given:
        return
    parameter = spec.parameters["a"]
    assert (list(parameter.values) if "values" in as_read else parameter.value) == as_read.get(
        "values", as_read.get("value")
    )


@pytest.mark.parametrize(
    "text", ["1" * 500, "11 " * 60 + "x", "9**9**9", "1/0", "3*e", "(-8)**0.5", "2**-9999", "((((1*", "10**60*10**300"]
)
def test_odd_texts_cost_nothing(text):
    """They are just strings, or what a string among numbers is said to be."""
    found = misreading(Scalar(text, among_numbers=True))
    assert found is None or found.fix is None


def test_only_plain_items_are_put_together():
    """A list or a quoted text between them ends what may belong together."""
    assert in_pieces(["(3", None, "3)"]) == {}
    assert list(in_pieces(["(3", "3)", "4"])) == [range(2)]


# what stands above the parameters, where the finding is, words of its message or hint
KEYS = [
    ("metrics: {name: a}", "metrics", "did you mean `metric`?"),
    ("metrics: loss", "metrics", "did you mean `metric`?"),
    ("metrics: [{name: a}]", "metrics", "use `metric` for one objective"),
    ("Metric: {name: a}", "Metric", "did you mean `metric`?"),
    ("goal: minimize", "goal", "it belongs under `metric:`"),
    ("early_stopping: {type: hyperband}", "early_stopping", "did you mean `early_terminate`?"),
    ("early_terminte: {type: hyperband}", "early_terminte", "did you mean `early_terminate`?"),
    ("min_iter: 3", "min_iter", "it belongs under `early_terminate:`"),
    ("count: 3", "count", "did you mean `run_cap`?"),
    ("max_runs: 3", "max_runs", "did you mean `run_cap`?"),
    ("hyperparameters: {}", "hyperparameters", "did you mean `parameters`?"),
    ("script: t.py", "script", "did you mean `program`?"),
    ("metric: {name: a, direction: maximize}", "metric.direction", "did you mean `goal`?"),
    ("metric: {name: a, mode: max}", "metric.mode", "did you mean `goal`?"),
    ('command: ["--a 1 --b 2"]', "command[0]", "passed as one argument"),
    ('command: [python, "--a 1"]', "command[1]", "passed as one argument"),
    ('command: [python, "--a=1 --b=2"]', "command[1]", "passed as one argument"),
    ('command: ["${env}", "python -u", t.py]', "command[1]", "passed as one argument"),
    ('command: ["accelerate launch", t.py]', "command[0]", "write one item per word"),
    ('command: ["CUDA_VISIBLE_DEVICES=0 python", t.py]', "command[0]", "passed as one argument"),
    ("command: [~/venv/bin/python, t.py]", "command[0]", "nothing replaces the ~"),
    ("command: [~you/venv/bin/python, t.py]", "command[0]", "nothing replaces the ~"),
    ("command: [python, $HOME/t.py]", "command[1]", "passed as it stands"),
    ("command: [cd, x, '&&', python, t.py]", "command[2]", "no shell reads a command"),
]
EARLY = [
    ("min_iter: 5, max_iter: 50", "max_iter", "not used without `s`", "5, 15, 45, 135, ... reports"),
    ("min_iter: 5, s: 2", "s", "not used without `max_iter`", "5, 15, 45, 135, ... reports"),
    ("min_iter: 5, s: 2, eta: 1.0e+300", "s", "not used without `max_iter`", "5, ... reports"),
    ("max_iter: 27", "max_iter", "not used without `s`", "no trial is ended early"),
    ("s: 2", "s", "not used without `max_iter`", "no trial is ended early"),
    ("eta: 2", "", "has no `min_iter`, or `max_iter` with `s`", "no trial is ended early"),
    ("min_iter: 5, grace_period: 3", "grace_period", "means nothing here", "did you mean `min_iter`?"),
]


@pytest.mark.parametrize(("keys", "where", "said"), KEYS)
def test_near_misses_of_keys_and_commands_are_named(keys, where, said):
    """With the key that was probably meant, or what becomes of the words."""
    reading = read(f"program: t.py\nmethod: random\n{keys}\nparameters: {{a: {{values: [1, 2]}}}}\n")
    assert [f.where for f in reading.findings if said in f"{f.message} {f.hint}"] == [where]


@pytest.mark.parametrize(("keys", "where", "message", "hint"), EARLY)
def test_half_given_early_termination_runs_and_says_what_happens(keys, where, message, hint):
    """W&B's engine fails on it, or leaves it out, without a word."""
    head = "program: t.py\nmethod: random\nmetric: {name: a}\n"
    reading = read(f"{head}early_terminate: {{type: hyperband, {keys}}}\nparameters: {{a: {{values: [1, 2]}}}}\n")
    (finding,) = reading.findings
    assert (finding.where, finding.severity) == (f"early_terminate.{where}".rstrip("."), "warning")
    assert message in finding.message
    assert hint in finding.hint
    assert (reading.spec.early_terminate is None) == ("no trial is ended" in hint)


@pytest.mark.parametrize(
    "command",
    [
        '[bash, -c, "cd x && python t.py"]', '["${env}", "${interpreter}", "${program}", "${args}"]', "[python, --name=my run]",
        '[python, t.py, "hello world"]', '["${env}", A=1, python, "it\'s"]', "[python, --data=~/x]", "[python, -c, print(1)]",
    ],
)  # fmt: skip
def test_commands_that_do_what_they_say(command):
    """Spaces within one argument are not two arguments by mistake."""
    assert read(f"program: t.py\nmethod: random\ncommand: {command}\nparameters: {{a: {{value: 1}}}}").findings == ()


def test_a_program_in_the_home_directory():
    """Nothing replaces the ~."""
    (finding,) = read("program: ~/t.py\nmethod: random\nparameters: {a: {value: 1}}").findings
    assert (finding.where, finding.fix) == ("program", "/home/YOU/t.py")


def test_one_metric_by_the_name_of_several_is_the_metric():
    """It is read as it is meant."""
    reading = read(
        "program: t.py\nmethod: bayes\nmetrics: {name: acc, goal: maximize}\nparameters: {a: {values: [1, 2]}}"
    )
    assert reading.spec.metric.name == "acc"
    assert reading.spec.metrics == ()


def test_a_spec_without_a_program_says_who_runs_such_specs():
    """One for `wandb.agent(function=...)`, and this package's own."""
    (finding,) = read("method: random\nparameters: {a: {value: 1}}").findings
    assert "wandb.agent(sweep_id, function=...)" in finding.hint
    assert "from orchestrator import wandb" in finding.hint
