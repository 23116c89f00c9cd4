"""Embeddings and rerank: numbers for texts, and a `usage` at either end of an answer that may be large."""

from __future__ import annotations

from penstock.protocols.openai_chat import OPENAI_ERRORS, ChatReader
from penstock.protocols.text import TextDialect

EMBEDDINGS = TextDialect("openai.embeddings", ChatReader, OPENAI_ERRORS)
RERANK = TextDialect("rerank", ChatReader, OPENAI_ERRORS)
