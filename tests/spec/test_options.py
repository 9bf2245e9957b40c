import pytest

from orchestrator.spec import dump, load_text
from orchestrator.spec.model import Budget, Options, Recipient, Resources
from orchestrator.spec.options import READERS
from tests.spec.readings import said, with_keys

GIVEN = {
    "resources": ("{gpu: 0.5, cpu: 4, memory: 8GiB, custom: {tpu: 2}}", None),
    "concurrency": ("8", 8),
    "seed": ("7", 7),
    "retries": ("2", 2),
    "objective": ("last", "last"),
    "timeout": ("{trial: 2h, sweep: 1h30m}", None),
    "budget": ("{gpu_hours: 40, cost: 100, price: 2.5}", Budget(gpu_hours=40.0, cost=100.0, price=2.5)),
    "grace": ("10s", None),
    "sampler": ("{name: tpe, options: {multivariate: true}}", None),
    "grid_order": ("shuffled", "shuffled"),
    "first": ("[{a: 1}]", ({"a": 1},)),
    "allow_repeats": ("true", True),
    "stop_when": ("[nan, diverging]", ("nan", "diverging")),
    "stop": ("{training_iteration: 20, loss: 0.1}", {"training_iteration": 20.0, "loss": 0.1}),
    "preload": ("[torch, wandb]", ("torch", "wandb")),
    "python": (".venv/bin/python", ".venv/bin/python"),
    "notify": (
        "[bell, '${URL}', '@~/url', {command: 'notify-send \"a sweep\"'}, {command: [say, it]}]",
        (
            Recipient(),
            Recipient(url="${URL}"),
            Recipient(url="@~/url"),
            Recipient(command=("notify-send", "a sweep")),
            Recipient(command=("say", "it")),
        ),
    ),
    "storage": ("s3://bucket/sweeps/", "s3://bucket/sweeps"),
    "wandb": ("online", "online"),
    "gradients": ("off", "off"),
}


def options(text):
    return with_keys(f"orchestrator: {text}")


def test_the_list_here_is_complete():
    """No key is forgotten."""
    assert set(GIVEN) == set(READERS)


@pytest.mark.parametrize("key", GIVEN)
def test_each_key_is_read(key):
    """Alone, without a finding, and into the field of its name."""
    given, expected = GIVEN[key]
    reading = options(f"{{{key}: {given}}}")
    assert said(reading) == []
    assert reading.spec.options != Options()
    assert expected is None or getattr(reading.spec.options, key) == expected


def test_values_with_units():
    """Resources, durations and samplers have forms of their own."""
    assert options("{resources: {gpu: 0.5, cpu: 4, memory: 8GiB, custom: {tpu: 2}}}").spec.options.resources == (
        Resources(gpu=0.5, cpu=4.0, memory_bytes=8 * 2**30, custom={"tpu": 2.0})
    )
    found = options("{timeout: {trial: 2h, sweep: 1h30m}, grace: 10s}").spec.options
    assert (found.timeout_trial_s, found.timeout_sweep_s, found.grace_s) == (7200.0, 5400.0, 10.0)
    assert options("{timeout: 90}").spec.options.timeout_trial_s == 90.0
    found = options("{sampler: {name: tpe, options: {multivariate: true}}}").spec.options
    assert (found.sampler, found.sampler_options) == ("tpe", {"multivariate": True})
    assert options("{sampler: qmc}").spec.options.sampler == "qmc"
    assert options("{sampler: {name: tpe}}").spec.options.sampler_options == {}


@pytest.mark.parametrize(
    ("given", "field", "expected"),
    [
        ("{wandb: off}", "wandb", "off"),
        ("{gradients: on}", "gradients", "on"),
        ("{gradients: 'off'}", "gradients", "off"),
        ("{stop_when: nan}", "stop_when", ("nan",)),
        ("{stop_when: never}", "stop_when", ()),
        ("{stop_when: off}", "stop_when", ()),
        ("{stop_when: []}", "stop_when", ()),
        ("{preload: []}", "preload", ()),
        ("{seed: null}", "seed", None),
    ],
)
def test_words_that_yaml_reads_as_booleans(given, field, expected):
    """`off` and `on` mean what they say here; an empty value is the default."""
    reading = options(given)
    assert said(reading) == []
    assert getattr(reading.spec.options, field) == expected


ERRORS = [
    ("3", "4:15 error orchestrator: 3 is not a mapping"),
    ("{concurency: 3}", "4:16 error orchestrator.concurency: the key `concurency` means nothing here"),
    ("{concurrency: 0}", "4:29 error orchestrator.concurrency: 0 is not a whole number of at least 1"),
    ("{seed: -1}", "4:22 error orchestrator.seed: -1 is not a whole number of at least 0"),
    (f"{{seed: {2**63}}}", f"4:22 error orchestrator.seed: {2**63} is too large"),
    ("{retries: many}", "4:25 error orchestrator.retries: 'many' is not a whole number of at least 0"),
    ("{objective: mean}", "4:27 error orchestrator.objective: 'mean' is not allowed"),
    ("{timeout: soon}", "4:25 error orchestrator.timeout: 'soon' is not a duration"),
    ("{timeout: {trail: 2h}}", "4:26 error orchestrator.timeout.trail: the key `trail` means nothing here"),
    ("{budget: {cost: 100}}", "4:24 error orchestrator.budget: has a `cost` and no `price`"),
    ("{budget: 40}", "4:24 error orchestrator.budget: 40 is not a mapping such as {gpu_hours: 40} or {cost: 100, "),
    ("{budget: {gpu_hours: 0}}", "4:36 error orchestrator.budget.gpu_hours: 0 is not greater than 0"),
    ("{notify: 3}", "error: is none of: bell, '${NAME}'"),
    ("{notify: [{command: ''}]}", "error: names no program"),
    ('{notify: {command: "it\'s"}}', 'error: "it\'s" cannot be split into words'),
    ("{grace: -3}", "4:23 error orchestrator.grace: -3 is not a duration"),
    ("{grace: true}", "4:23 error orchestrator.grace: true is not a duration"),
    ("{sampler: {options: {}}}", "4:25 error orchestrator.sampler: has no `name`"),
    ("{sampler: {name: tpe, options: 3}}", "4:46 error orchestrator.sampler.options: 3 is not a mapping of the "),
    ("{first: 3}", "4:23 error orchestrator.first: 3 is not a list of configs"),
    ("{first: [3]}", "4:24 error orchestrator.first[0]: 3 is not a config: a mapping of parameter values"),
    ("{allow_repeats: 1}", "4:31 error orchestrator.allow_repeats: 1 is neither true nor false"),
    ("{stop_when: [infinite]}", "4:28 error orchestrator.stop_when[0]: 'infinite' is not allowed"),
    ("{stop_when: infinite}", "4:27 error orchestrator.stop_when: 'infinite' is not allowed"),
    ("{stop: 20}", "4:22 error orchestrator.stop: 20 is not a mapping such as {training_iteration: 20, "),
    ("{stop: {}}", "4:22 error orchestrator.stop: has no limit"),
    ("{stop: {loss: low}}", "4:29 error orchestrator.stop.loss: 'low' is not a number"),
    ("{stop: {training_iteration: 0}}", "4:43 error orchestrator.stop.training_iteration: 0 is not greater than 0"),
    ("{preload: torch}", "4:25 error orchestrator.preload: 'torch' is not a list of module names"),
    ("{wandb: true}", "4:23 error orchestrator.wandb: true is not allowed"),
    ("{sampler: tpee}", "4:25 error orchestrator.sampler: 'tpee' is not a sampler"),
    ("{sampler: {name: magic}}", "4:32 error orchestrator.sampler.name: 'magic' is not a sampler"),
    ("{gradients: maybe}", "4:27 error orchestrator.gradients: 'maybe' is not allowed"),
    ("{resources: 1}", "4:27 error orchestrator.resources: 1 is not a mapping such as {gpu: 1, cpu: 4}"),
    ("{resources: {gpus: 1}}", "4:28 error orchestrator.resources.gpus: the key `gpus` means nothing here"),
    ("{resources: {gpu: -1}}", "4:33 error orchestrator.resources.gpu: -1 is not at least 0"),
    ("{resources: {gpu: 1.5}}", "4:33 error orchestrator.resources.gpu: 1.5 GPUs: a share of a GPU is below 1"),
    ("{resources: {memory: lots}}", "4:36 error orchestrator.resources.memory: 'lots' is not an amount of memory"),
    ("{resources: {custom: [tpu]}}", "4:36 error orchestrator.resources.custom: ['tpu'] is not a mapping of Ray's"),
    ("{resources: {custom: {tpu: 0}}}", "4:42 error orchestrator.resources.custom.tpu: 0 is not at least 0.0001"),
    ("{resources: {cpu: 1.0e-300}}", "4:33 error orchestrator.resources.cpu: 1e-300 is less than Ray can count"),
    ("{resources: {gpu: 1.0e-9}}", "4:33 error orchestrator.resources.gpu: 1e-09 is less than Ray can count"),
]


@pytest.mark.parametrize(("given", "expected"), ERRORS)
def test_our_own_block_is_strict(given, expected):
    """Every key is ours, so what it cannot mean is an error, with its place."""
    (message,) = said(options(given))
    assert message.startswith(expected)


def test_all_mistakes_of_a_block_at_once():
    """One does not hide another."""
    reading = options("{seed: x, wandb: maybe, resources: {gpu: x, cpu: y}}")
    wheres = [f.where.removeprefix("orchestrator.") for f in reading.errors]
    assert wheres == ["seed", "wandb", "resources.gpu", "resources.cpu"]


BY = "parameters: {net: {parameters: {kind: {values: [cnn, 2, true]}}}, lr: {min: 0, max: 1}}"
PYTHONS_BY = [
    ("{by: net.kind, cnn: .venv-a, '2': .venv-b, 'true': .venv-c}", []),
    ("{by: net.kind, cnn: a, '2': b}", ["names no Python for net.kind: true"]),
    ("{by: net.kind, cnn: a, '2': b, 'true': c, rnn: d}", ["net.kind has no such value"]),
    ("{by: net.kind, cnn: a, 2: b, 'true': c}", ["the key 2 is not a string"]),
    ("{by: lr, low: a}", ["lr has no list of values"]),
    ("{by: depth, low: a}", ["depth is not a parameter"]),
    ("{cnn: a}", ["has no `by`"]),
    ("{by: net.kind, cnn: [a], '2': b, 'true': c}", ["['a'] is not a string"]),
    ("[a, b]", ["['a', 'b'] is not a string"]),
]


@pytest.mark.parametrize(("text", "messages"), PYTHONS_BY)
def test_a_python_for_each_value_of_a_parameter(text, messages):
    """It is one that has a list of values, and each of them has a Python: no more, no less."""
    reading = load_text(f"method: random\nprogram: train.py\n{BY}\norchestrator: {{python: {text}}}\n")
    assert [f.message for f in reading.errors if f.where.startswith("orchestrator")] == messages
    if not messages:
        assert reading.spec.options.python.paths == {"cnn": ".venv-a", "2": ".venv-b", "true": ".venv-c"}
        assert load_text(dump(reading.spec)).spec == reading.spec


def test_a_secret_in_a_spec_is_refused_and_not_repeated():
    """A spec is kept with its sweep; and neither the message nor the line that it would quote has the URL."""
    reading = options("{notify: [bell, 'slack://s3cr3t/token']}")
    assert reading.spec is None
    assert "is a URL, which holds a secret" in reading.text()
    assert "s3cr3t" not in reading.text()
    reading = options("{notify: [{command: '', url: 'slack://s3cr3t/token'}]}")
    assert "orchestrator.notify[0].url: the key `url` means nothing here" in reading.text()
    assert "s3cr3t" not in reading.text()
    for beside in ("{command: []}", '{command: "a \'b"}', "{command: [[]]}", "{command: {a: b}}"):
        reading = options(f"{{notify: [{beside}, 'slack://s3cr3t/token']}}")
        assert "orchestrator.notify[0].command" in reading.text()
        assert "s3cr3t" not in reading.text()


def test_who_is_told_is_written_as_it_was_read():
    """One of them needs no list; each is shown without its secret."""
    assert options("{notify: bell}").spec.options.notify == (Recipient(),)
    spec = options(f"{{notify: {GIVEN['notify'][0]}}}").spec
    assert load_text(dump(spec)).require() == spec
    assert [each.shown for each in spec.options.notify] == ["bell", "${URL}", "@~/url", "notify-send", "say"]
