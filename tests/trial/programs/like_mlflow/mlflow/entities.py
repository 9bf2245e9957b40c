"""Mlflow's entities, as far as programs give them to its client."""

from dataclasses import dataclass, field


@dataclass
class Metric:
    key: str
    value: float
    timestamp: int
    step: int


@dataclass
class Param:
    key: str
    value: str


@dataclass
class Info:
    run_id: str


@dataclass
class Data:
    tags: dict = field(default_factory=dict)


@dataclass
class Run:
    info: Info
    data: Data
