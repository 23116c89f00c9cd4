"""Trains small tokenizers on a text: byte-level BPE as GPT-2 has it, and a list of words as BERT has it."""

from __future__ import annotations

import heapq
import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import pairwise

Pair = tuple[str, str]

_PIECES = re.compile(r" ?[A-Za-z]+| ?[0-9]+| ?[^\sA-Za-z0-9]+|\s")


@dataclass(frozen=True, slots=True)
class Bpe:
    """A byte-level vocabulary: the 256 single bytes first, then one token for each merge, in order."""

    tokens: tuple[str, ...]
    merges: tuple[Pair, ...]


def train_bpe(text: str, size: int) -> Bpe:
    """Merge the most frequent pair of neighbours until there are `size` tokens; equal counts go by the alphabet."""
    stand_in = _printable_bytes()
    counts = Counter(_PIECES.findall(text))
    pieces = [[stand_in[byte] for byte in piece.encode()] for piece in counts]
    weights = list(counts.values())
    tokens = dict.fromkeys(stand_in)  # a dict, not a list: two merges can spell the same token
    merges: list[Pair] = []
    pairs = _Pairs()
    for index, piece in enumerate(pieces):
        pairs.add(piece, index, weights[index])
    while len(tokens) < size and (best := pairs.pop()):
        merges.append(best)
        tokens[best[0] + best[1]] = None
        for index in sorted(pairs.where[best]):
            pairs.remove(pieces[index], weights[index])
            pieces[index] = _merged(pieces[index], best)
            pairs.add(pieces[index], index, weights[index])
    return Bpe(tuple(tokens), tuple(merges))


def train_words(text: str, size: int) -> tuple[str, ...]:
    """The characters (as the start of a word and within one), then the most frequent words, `size` in all.

    A word's start carries U+2581, as llama.cpp wants it for BERT's vocabularies.
    """
    words = Counter(re.findall(r"[a-z]+|[0-9]|[^\sa-z0-9]", text.lower()))
    alphabet = sorted({char for word in words for char in word if char.isascii() and char.isprintable()})
    tokens = dict.fromkeys(["\u2581" + char for char in alphabet] + alphabet)
    for word, _ in words.most_common():
        if len(tokens) >= size:
            break
        if word.isascii():
            tokens["\u2581" + word] = None
    return tuple(tokens)


def _printable_bytes() -> list[str]:
    """GPT-2's printable stand-in for each byte; a space becomes U+0120, a new line U+010A."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    spare = iter(range(256, 512))
    return [chr(byte if byte in printable else next(spare)) for byte in range(256)]


def _merged(piece: list[str], pair: Pair) -> list[str]:
    merged: list[str] = []
    symbols = iter(range(len(piece)))
    for at in symbols:
        if tuple(piece[at : at + 2]) == pair:
            merged.append(pair[0] + pair[1])
            next(symbols)
        else:
            merged.append(piece[at])
    return merged


class _Pairs:
    """How often each pair of neighbours occurs, the most frequent first.

    The heap is not corrected when a count falls: an entry that is out of date is put back when it surfaces.
    """

    def __init__(self) -> None:
        self.where: defaultdict[Pair, set[int]] = defaultdict(set)  # pieces in which it occurs, or once did
        self._counts: Counter[Pair] = Counter()
        self._heap: list[tuple[int, Pair]] = []

    def add(self, piece: list[str], index: int, weight: int) -> None:
        for pair in pairwise(piece):
            self._counts[pair] += weight
            self.where[pair].add(index)
            heapq.heappush(self._heap, (-self._counts[pair], pair))

    def remove(self, piece: list[str], weight: int) -> None:
        for pair in pairwise(piece):
            self._counts[pair] -= weight

    def pop(self) -> Pair | None:
        """The most frequent pair that occurs at least twice."""
        while self._heap:
            negative, pair = heapq.heappop(self._heap)
            count = self._counts[pair]
            if count == -negative and count > 1:
                return pair
            if 1 < count < -negative:
                heapq.heappush(self._heap, (-count, pair))
        return None
