"""Which of several trials are best when there are several objectives: those that no other one beats."""

from collections.abc import Sequence


def front_of(scores: Sequence[Sequence[float]]) -> list[int]:
    """Return the positions, ascending, of the scores that no other ones beat.

    Scores beat others when they are nowhere worse and somewhere better; lower is better. Equal ones are all kept; with
    one objective the front is the best one and its ties.

    Args:
        scores: [n trials][k objectives], all of the same length and finite.
    """
    front: list[int] = []
    # What beats a trial comes before it in lexicographic order, and something on the front beats it as well.
    for i in sorted(range(len(scores)), key=lambda i: tuple(scores[i])):
        if not any(_beats(scores[kept], scores[i]) for kept in front):
            front.append(i)
    return sorted(front)


def _beats(one: Sequence[float], other: Sequence[float]) -> bool:
    pairs = list(zip(one, other, strict=True))
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)
