import json

import pytest

from orchestrator.upload import messages
from orchestrator.upload.messages import (
    Begin,
    Declined,
    LeftOut,
    LoggedOut,
    OnServer,
    Settle,
    Settled,
    Status,
    Watch,
    news_of,
    order_of,
)


@pytest.mark.parametrize(
    "order",
    [
        Begin(config="method: grid\n", name="digits", description=None, project="p", entity=None, path="e/p/s"),
        Watch(trial=3, dir="/runs/3", ended=True, settled=False),
        Settle(finished=True),
    ],
)
def test_an_order_comes_as_it_was_sent(order):
    """Every kind, through one line of JSON."""
    assert order_of(json.loads(order.encode())) == order


@pytest.mark.parametrize(
    "news",
    [
        LoggedOut(),
        OnServer(path="e/p/s", url="https://wandb.ai/e/p/s"),
        Status(open=1, trouble=None, sent=2, failed=0),
        Settled(sent=3, failed=1),
        LeftOut(line="x is a link"),
        Declined(why="401"),
    ],
)
def test_news_come_as_they_were_sent(news):
    """Every kind, through one line of JSON."""
    assert news_of(json.loads(news.encode())) == news


def test_every_kind_is_known_by_a_word_of_its_own():
    """Two kinds with one `OP` would be one."""
    assert list(messages._ORDERS) == ["begin", "watch", "settle"]
    assert list(messages._NEWS) == ["logged_out", "on_server", "status", "settled", "left_out", "declined"]
