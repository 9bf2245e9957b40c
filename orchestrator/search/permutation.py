"""A random order of 0..n-1 that needs no list, for grids too large to be written out."""

import hashlib
from collections.abc import Iterator

N_ROUNDS = 4
"""Rounds of a Feistel network; four make a pseudorandom permutation (Luby and Rackoff 1988)."""


class Permutation:
    """A bijection of 0..size-1 chosen by a seed: a Feistel network on the next even power of 2, walked until inside."""

    def __init__(self, size: int, seed: int) -> None:
        self._size = size
        self._seed = seed
        self._half_bits = max(1, -(-(size - 1).bit_length() // 2))
        self._known: list[int] = []

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[int]:
        for i in range(self._size):
            if i == len(self._known):
                self._known.append(self[i])
            yield self._known[i]

    def __getitem__(self, i: int) -> int:
        """Return the number at place `i`."""
        if not 0 <= i < self._size:
            raise IndexError(i)
        i = self._scramble(i)
        while i >= self._size:
            i = self._scramble(i)
        return i

    def _scramble(self, i: int) -> int:
        mask = (1 << self._half_bits) - 1
        left, right = i >> self._half_bits, i & mask
        for round_ in range(N_ROUNDS):
            digest = hashlib.blake2b(f"{self._seed}:{round_}:{right}".encode(), digest_size=16).digest()
            left, right = right, left ^ (int.from_bytes(digest) & mask)
        return left << self._half_bits | right
