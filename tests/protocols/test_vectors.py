"""Embeddings and rerank: their answers as engines send them."""

from __future__ import annotations

import pytest

from penstock.core.calls.message import TokenSource, Usage
from penstock.protocols.vectors import EMBEDDINGS, RERANK
from tests.protocols.streams import watched

LLAMACPP = (
    b'{"model":"a","object":"list","usage":{"prompt_tokens":8,"total_tokens":8},'
    b'"results":[{"index":0,"relevance_score":1.73},{"index":1,"relevance_score":1.67}]}'
)
VLLM = b'{"model":"a","usage":{"prompt_tokens":8,"total_tokens":8},"results":[{"index":0,"document":{"text":"x"}}]}'
JINA = b'{"model":"a","usage":{"total_tokens":8},"results":[]}'
TEI = b'[{"index":0,"score":0.9},{"index":1,"score":0.1}]'


@pytest.mark.parametrize(
    ("answer", "tokens"), [(LLAMACPP, 8), (VLLM, 8), (JINA, 8), (TEI, None), (b"[]", None), (b"", None)]
)
def test_a_ranking_counts_what_it_read(answer: bytes, tokens: int | None) -> None:
    source = TokenSource.NONE if tokens is None else TokenSource.USAGE
    assert watched(RERANK, answer).usage == Usage(source, tokens)


@pytest.mark.parametrize("vector", [b"[0.25,-0.5]", b'"' + b"A" * 200_000 + b'"'])
@pytest.mark.parametrize("is_first", [True, False])
def test_vectors_count_what_they_are_made_of(vector: bytes, *, is_first: bool) -> None:
    usage, vectors = b'"usage":{"prompt_tokens":11,"total_tokens":11}', b'"data":[{"embedding":%b}]' % vector
    parts = (usage, vectors) if is_first else (vectors, usage)
    assert watched(EMBEDDINGS, b"{%b,%b}" % parts).usage == Usage(TokenSource.USAGE, 11)


def test_an_error_is_kept() -> None:
    answer = b'{"error":{"code":501,"message":"no reranking","type":"not_supported_error"}}'
    assert watched(RERANK, answer).failure == "no reranking"
