"""Embeddings and rerank: numbers for texts, and a `usage` at either end of an answer that may be large."""

from __future__ import annotations

from penstock.protocols.openai_chat import OPENAI_ERRORS, ChatReader
from penstock.protocols.text import TextDialect
from penstock.protocols.usage import take_vectors


class VectorReader(ChatReader):
    """An answer like a chat's, without choices."""

    __slots__ = ()

    take_usage = staticmethod(take_vectors)


EMBEDDINGS = TextDialect("openai.embeddings", VectorReader, OPENAI_ERRORS)
RERANK = TextDialect("rerank", VectorReader, OPENAI_ERRORS)
