import pytest

from orchestrator.spec.model import EarlyTerminate, Goal, Metric, Patience, Scheduler
from orchestrator.spec.sections import MACROS
from tests.spec.readings import said, with_keys


def test_a_metric_with_everything():
    """All keys of W&B's schema."""
    reading = with_keys(
        'metric: {name: val/acc, goal: maximize, target: 0.9, impute: best, impute_while_running: "false"}'
    )
    assert said(reading) == []
    assert reading.spec.metric == Metric(name="val/acc", goal=Goal.MAXIMIZE, target=0.9, impute="best")


def test_the_goal_is_minimize_by_default():
    """As in W&B."""
    assert with_keys("metric: {name: loss}").spec.metric == Metric(name="loss", goal=Goal.MINIMIZE)


@pytest.mark.parametrize("word", ["Maximize", "max", "maximise", "MAX", "maximum", "maximze", " maximize"])
def test_a_misspelt_goal_is_what_it_means(word):
    """W&B would silently minimise: a warning with the right spelling, and the meaning is kept."""
    reading = with_keys(f'metric: {{name: acc, goal: "{word}"}}')
    assert reading.spec.metric.goal is Goal.MAXIMIZE
    (finding,) = reading.findings
    assert (finding.severity, finding.where, finding.fix) == ("warning", "metric.goal", "goal: maximize")
    assert finding.hint == "W&B would silently minimize"


def test_an_empty_goal_is_minimize_with_a_warning():
    """As W&B takes it."""
    reading = with_keys("metric: {name: acc, goal: }")
    assert reading.spec.metric.goal is Goal.MINIMIZE
    assert said(reading) == ["4:27 warning metric.goal: is empty"]


def test_a_name_alone_is_a_metric_with_a_warning():
    """`metric: loss` is ignored by W&B."""
    reading = with_keys("metric: loss")
    assert reading.spec.metric == Metric(name="loss")
    assert reading.findings[0].fix == 'metric: {name: "loss", goal: minimize}'


METRIC_ERRORS = [
    ("{name: a, goal: upwards}", "4:25 error metric.goal: 'upwards' is not a goal"),
    ("{name: a, goal: 3}", "4:25 error metric.goal: 3 is not a goal"),
    ("{goal: minimize}", "4:9 error metric: has no `name`"),
    ('{name: ""}', "4:9 error metric: has no `name`"),
    ("{nam: a}", "4:10 error metric.nam: the key `nam` means nothing here"),
    ("{name: [a]}", "4:16 error metric.name: ['a'] is not a string"),
    ("[loss]", "4:9 error metric: ['loss'] is not a mapping with `name` and `goal`"),
    ("{name: a, target: x}", "4:27 error metric.target: 'x' is not a number"),
]


@pytest.mark.parametrize(("given", "expected"), METRIC_ERRORS)
def test_what_is_no_metric(given, expected):
    """One error each."""
    assert said(with_keys(f"metric: {given}")) == [expected]


@pytest.mark.parametrize(
    ("given", "impute", "running"),
    [
        ("impute_while_running: false", None, "false"),
        ("impute_while_running: lates", None, "latest"),
        ("impute: median", "worst", "false"),
        ("impute: Best", "best", "false"),
    ],
)
def test_imputation_that_wandb_drops_is_a_warning(given, impute, running):
    """A YAML `false` is a boolean and not W&B's string; a misspelt word is its default there."""
    reading = with_keys(f"metric: {{name: a, {given}}}")
    assert (reading.spec.metric.impute, reading.spec.metric.impute_while_running) == (impute, running)
    assert [f.severity for f in reading.findings] == ["warning"]


def test_unknown_keys_of_a_metric():
    """A warning, with what was probably meant."""
    reading = with_keys("metric: {name: a, gaol: maximize}")
    assert said(reading) == ["4:19 warning metric.gaol: the key `gaol` means nothing here and is ignored"]
    assert reading.findings[0].hint == "did you mean `goal`?"


def test_a_target_may_be_an_exponent():
    """`1e-3` is a number here too."""
    assert with_keys("metric: {name: a, target: 1e-3}").spec.metric.target == 0.001


def test_metrics_are_a_list_of_at_least_two():
    """For `method: custom`, as in W&B, and for bayes here."""
    reading = with_keys("metrics: [{name: a}, {name: b, goal: maximize}]\nscheduler: {engine: optuna}", "custom")
    assert said(reading) == []
    assert reading.spec.metrics == (Metric(name="a"), Metric(name="b", goal=Goal.MAXIMIZE))
    assert reading.spec.objectives == reading.spec.metrics


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("3", "4:10 error metrics: 3 is not a list of metrics"),
        ("[{name: a}]", "4:10 error metrics: has fewer than two entries"),
        ("[{name: a}, {goal: minimize}]", "4:22 error metrics[1]: has no `name`"),
        ("[{name: a}, {name: a}]", "4:10 error metrics: names a metric twice"),
    ],
)
def test_what_are_no_metrics(given, expected):
    """One error each."""
    assert said(with_keys(f"metrics: {given}", "bayes")) == [expected]


def early(given):
    return with_keys(f"metric: {{name: a}}\nearly_terminate: {given}")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("{type: hyperband, min_iter: 3}", EarlyTerminate(type="hyperband", min_iter=3)),
        (
            "{type: hyperband, max_iter: 27, s: 2.0, eta: 2.5, strict: false}",
            EarlyTerminate(type="hyperband", max_iter=27, s=2, eta=2.5, strict=False),
        ),
        ("{type: asha, min_iter: 1}", EarlyTerminate(type="asha", min_iter=1)),
        ("{type: asha, max_t: 9}", EarlyTerminate(type="asha", min_iter=1, max_t=9)),
        ("{type: asha, min_iter: 9, max_t: 9}", EarlyTerminate(type="asha", min_iter=9, max_t=9)),
        ("{type: asha, max_iter: 9, s: 2, max_t: 3}", EarlyTerminate(type="asha", max_iter=9, s=2, max_t=3)),
        ("{type: median}", EarlyTerminate(type="median")),
        (
            "{type: median, percentile: 25, min_trials: 5, min_iter: 4, no_improvement: {after: 3, min_delta: 0.1}}",
            EarlyTerminate(
                type="median",
                percentile=25.0,
                min_trials=5,
                min_iter=4,
                no_improvement=Patience(after=3, min_delta=0.1),
            ),
        ),
    ],
)
def test_rules_that_end_trials_early(given, expected):
    """W&B's hyperband with both forms of rungs, and the project's own rules."""
    reading = early(given)
    assert said(reading) == []
    assert reading.spec.early_terminate == expected


EARLY_ERRORS = [
    ("hyperband", "5:18 error early_terminate: 'hyperband' is not a mapping with `type` and `min_iter`"),
    ("{min_iter: 3}", "5:18 error early_terminate: has no `type`"),
    ("{type: envelope}", "5:25 error early_terminate.type: 'envelope' is not allowed"),
    ("{type: asha, min_iter: 10, max_t: 9}", "5:52 error early_terminate.max_t: 9 is less than min_iter, which is 10"),
    ("{type: asha, max_t: 0}", "5:38 error early_terminate.max_t: 0 is not a whole number of at least 1"),
    ("{type: hyperband, min_iter: 3, max_t: 9}", "5:56 error early_terminate.max_t: belongs to asha, not to hyperband"),
    ("{type: asha}", "5:18 error early_terminate: has no `min_iter`, or `max_iter` with `s`"),
    ("{type: asha, s: 2}", "5:34 error early_terminate.s: is not used without `max_iter`"),
    ("{type: asha, max_iter: 27}", "5:41 error early_terminate.max_iter: is not used without `s`"),
    ("{type: hyperband, max_iter: 2, s: 3}", "5:46 error early_terminate.max_iter: 2 is less than eta"),
    ("{type: hyperband, min_iter: 0}", "5:46 error early_terminate.min_iter: 0 is not a whole number of at least 1"),
    ("{type: hyperband, min_iter: 3, eta: 1}", "5:54 error early_terminate.eta: 1 is not greater than 1"),
    (
        "{type: hyperband, min_iter: 3, strict: maybe}",
        "5:57 error early_terminate.strict: 'maybe' is neither true nor ",
    ),
    ("{type: median, percentile: 100}", "5:45 error early_terminate.percentile: 100 is not below 100"),
    ("{type: median, no_improvement: 3}", "5:49 error early_terminate.no_improvement: 3 is not a mapping with `after`"),
    ("{type: median, no_improvement: {}}", "5:49 error early_terminate.no_improvement: has no `after`"),
    ("{type: median, no_improvement: {after: 0}}", "5:57 error early_terminate.no_improvement.after: 0 is not a whole"),
]


@pytest.mark.parametrize(("given", "expected"), EARLY_ERRORS)
def test_what_cannot_end_trials(given, expected):
    """One error each, where W&B's engine raises one or stops nothing."""
    (message,) = said(early(given))
    assert message.startswith(expected)


def test_max_iter_wins_over_min_iter():
    """As in W&B, which does not say so."""
    reading = early("{type: hyperband, min_iter: 3, max_iter: 27, s: 2}")
    assert said(reading) == ["5:46 warning early_terminate.min_iter: is not used: `max_iter` with `s` wins, as in W&B"]


def test_unknown_keys_of_early_terminate():
    """Ignored by W&B's stopper: a warning."""
    reading = early("{type: hyperband, min_iters: 3, min_iter: 3}")
    assert reading.findings[0].hint == "did you mean `min_iter`?"
    assert reading.spec.early_terminate.min_iter == 3


def test_engines():
    """wandb, optuna and ax, with the user's own optimizer or space."""
    reading = with_keys("scheduler: {engine: wandb}")
    assert (said(reading), reading.spec.scheduler) == ([], Scheduler(engine="wandb"))
    reading = with_keys("scheduler: {engine: optuna, source: s.py, optimizer: make}", "custom")
    expected = Scheduler(engine="optuna", source="s.py", optimizer="make")
    assert (said(reading), reading.spec.scheduler) == ([], expected)
    assert with_keys("scheduler: {engine: ax}", "custom").spec.scheduler == Scheduler(engine="ax")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("optuna", ["4:12 error scheduler: 'optuna' is not a mapping with `engine`"]),
        ("{}", ["4:12 error scheduler: has no `engine`"]),
        ("{engine: hyperopt}", ["4:21 error scheduler.engine: 'hyperopt' is not allowed"]),
        (
            "{engine: optuna, optimizer: make}",
            ["4:40 error scheduler.optimizer: needs `source`: the file that it is defined in"],
        ),
        ("{engine: optuna, x: 1}", ["4:29 warning scheduler.x: the key `x` means nothing here and is ignored"]),
    ],
)
def test_what_is_no_scheduler(given, expected):
    """The engine is needed, and a source for what it shall import."""
    assert said(with_keys(f"scheduler: {given}", "custom")) == expected


def test_the_scheduler_of_wandb_launch_is_another_thing():
    """`wandb launch-sweep` takes it away before the sweep is made."""
    reading = with_keys("scheduler: {num_workers: 8, resource: local-process}")
    assert reading.spec.scheduler is None
    assert said(reading) == ["4:12 warning scheduler: is that of `wandb launch-sweep`: it is ignored here"]


@pytest.mark.parametrize("macro", [m for m in MACROS if m != "args_dict"])
def test_every_macro_is_known(macro):
    """Each as a whole item; `${envvar:NAME}` anywhere."""
    items = f'["${{env}}", "--home=${{envvar:HOME}}", "${{{macro}}}"]'
    reading = with_keys(f"command: {items}")
    assert said(reading) == []
    assert reading.spec.command == ("${env}", "--home=${envvar:HOME}", f"${{{macro}}}")


def test_items_become_strings():
    """As the agent makes them, by str()."""
    assert with_keys("command: [python, 1, 2.5, true]").spec.command == ("python", "1", "2.5", "True")


COMMAND_WARNINGS = [
    ("${progam}", "${progam} is no macro: it expands to nothing", "did you mean ${program}? known: env, "),
    ("${batch_size}", "${batch_size} is no macro: it expands to nothing", "known: env, "),
    ("--x=${lr}", "${lr} inside an item is not expanded", "W&B expands macros only where they are a whole item"),
    ("--x=${args}", "${args} inside an item is not expanded", "W&B expands macros only where they are a whole item"),
    ("${program} ${args}", "'${program} ${args}' as one item expands to nothing", "write one macro per item"),
    ("${args_dict}", "${args_dict} expands to the parameters' names alone", "did you mean ${args} or ${args_json}?"),
    ("${envvar:home}", "${envvar:home} is not expanded", "W&B takes names of A-Z, 0-9 and _ only"),
]


@pytest.mark.parametrize(("item", "message", "hint"), COMMAND_WARNINGS)
def test_macros_that_wandb_drops_or_leaves(item, message, hint):
    """The command is kept as it is; the warning says what W&B makes of it."""
    reading = with_keys(f"command: [python, '{item}']")
    assert reading.spec.command == ("python", item)
    (finding,) = reading.findings
    assert (finding.where, finding.message) == ("command[1]", message)
    assert finding.hint.startswith(hint)


def test_a_command_in_one_string_is_split():
    """W&B ignores it without a word: a warning with the list to write."""
    reading = with_keys("command: python 'my train.py' ${args}")
    assert reading.spec.command == ("python", "my train.py", "${args}")
    assert reading.findings[0].fix == 'command: ["python", "my train.py", "${args}"]'
    assert with_keys("""command: "python 'train.py" """).spec.command == ("python", "'train.py")
    assert with_keys('command: ""').spec.command is None


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("[]", "4:10 error command: is empty"),
        ("{a: b}", "4:10 error command: {'a': 'b'} is not a list of arguments"),
        ("[python, null]", "4:19 error command[1]: null is not an argument"),
        ("[python, [a]]", "4:19 error command[1]: ['a'] is not an argument"),
        ("[python, {a: 1}]", "4:19 error command[1]: {'a': 1} is not an argument"),
    ],
)
def test_what_is_no_command(given, expected):
    """One error each."""
    assert said(with_keys(f"command: {given}")) == [expected]


@pytest.mark.parametrize("text", ["{name: loss, goal: maximize}", "name: loss"])
def test_a_metric_in_quotes_is_read_and_named(text):
    """W&B ignores the string; its author meant the mapping in it, and is shown it without the quotes."""
    reading = with_keys(f'metric: "{text}"')
    assert reading.spec.metric.name == "loss"
    assert [(f.severity, f.fix.startswith('metric: {"name": "loss"')) for f in reading.findings] == [("warning", True)]


def test_quotes_around_what_is_no_mapping_are_a_name():
    """A string that looks like one and cannot be read is what W&B takes it for."""
    reading = with_keys("metric: '{name: loss'")
    assert reading.spec.metric.name == "{name: loss"
    assert [f.message for f in reading.findings] == ["'{name: loss' is a name, not a metric"]


def test_engine_wandb_says_what_it_ignores():
    """A user's optimizer has no effect there, as in W&B."""
    keys = "metric: {name: a}\nscheduler: {engine: wandb, source: s.py, optimizer: make}"
    findings = with_keys(keys).findings
    assert [(f.where, f.severity) for f in findings] == [("scheduler.optimizer", "warning")]
    assert "engine wandb ignores it" in findings[0].message
