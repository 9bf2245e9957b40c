from orchestrator.trial.contract.flat import flat


def test_nested_names_are_joined_in_their_place():
    """With a dot or whatever else joins them; what has nothing in it is still there."""
    data = {"a": 1, "opt": {"sgd": {"lr": 0.1}, "none": {}}, "z": [{"in": "a list"}]}
    assert list(flat(data)) == [("a", 1), ("opt.sgd.lr", 0.1), ("opt.none", {}), ("z", [{"in": "a list"}])]
    assert dict(flat({"a": {1: 2}}, joint="/")) == {"a/1": 2}
