"""What looks like a secret is masked here, before it is logged, captured, shown or put into an error.

Known by where it stands (a header, a flag or a variable of a telling name), by its shape (`sk-…`),
or because the operator wrote it down (an `api_key`). A mask says that something was there, not how long it was.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from penstock.core.calls.message import Headers

MASK = b"[redacted]"
SHORTEST_SECRET = 6
"""A shorter text is masked where it stands as a secret, but not looked for elsewhere: it is part of too many words."""

_TELLING = frozenset({"authorization", "cookie", "token", "secret", "password", "passwd", "apikey", "credential"})
_TELLING_PAIRS = ("api-key", "access-key", "subscription-key", "private-key", "account-key", "master-key")
_SCHEMES = frozenset({b"bearer", b"basic", b"digest", b"negotiate"})


def _shape(mark: bytes, rest: bytes, *, word: bytes = rb"\w-") -> tuple[bytes, re.Pattern[bytes], bytes]:
    """What begins with `mark`, which is no part of a longer word, and goes on with `rest`."""
    return mark, re.compile(rb"%b(?<![%b]%b)%b" % (mark, word, mark, rest), re.ASCII), MASK


_SHAPES: tuple[tuple[bytes, re.Pattern[bytes], bytes], ...] = (
    _shape(b"sk-", rb"(?=[\w-]{0,64}\d)[\w-]{12,}"),  # OpenAI, Anthropic, LiteLLM, Penstock
    _shape(b"hf", rb"[_-](?=[\w-]{0,64}\d)[\w-]{16,}"),
    _shape(b"gh", rb"[pos][_-](?=[\w-]{0,64}\d)[\w-]{16,}"),
    _shape(b"github_pat", rb"[_-](?=[\w-]{0,64}\d)[\w-]{16,}"),
    _shape(b"glpat", rb"[_-](?=[\w-]{0,64}\d)[\w-]{16,}"),
    _shape(b"xox", rb"[abp][_-](?=[\w-]{0,64}\d)[\w-]{16,}"),
    _shape(b"AIza", rb"[\w-]{35}", word=rb"\w"),
    _shape(b"AKIA", rb"[A-Z0-9]{16}\b", word=rb"\w"),
    _shape(b"ASIA", rb"[A-Z0-9]{16}\b", word=rb"\w"),
    (b"earer ", re.compile(rb"earer (?<=[Bb]earer )(?=[\w.~+/=-]{0,64}\d)[\w.~+/=-]{16,}", re.ASCII), b"earer " + MASK),
)
"""First bytes, pattern and mask: to look for first bytes is ten times as fast as to try all shapes at every byte."""

_FLAG = re.compile(
    r"""(?<!\S)(-{1,2}(?P<name>[\w-]{1,64})(?:=|[ \t]+))(?P<value>"[^"]*"|'[^']*'|[^\s-]\S*)""", re.ASCII
)
_VARIABLE = re.compile(r"""(?<![\w-])((?P<name>[A-Za-z_]\w{0,63})=)(?P<value>"[^"]*"|'[^']*'|\S+)""", re.ASCII)
_QUERY = re.compile(rb"(?<=[?&;])([\w.-]{1,64}=)[^&;#\s]+", re.ASCII)


def is_telling(name: str) -> bool:
    """Whether what goes by this name (of a header, flag, variable or member) is a secret: `x-api-key`, `HF_TOKEN`."""
    whole = name.lower().replace("_", "-").replace(".", "-")
    return not _TELLING.isdisjoint(whole.split("-")) or any(pair in whole for pair in _TELLING_PAIRS)


class Redactor:
    """Masks secrets; `known` are those that the operator wrote down, which are masked wherever they stand."""

    def __init__(self, known: Iterable[str] = ()) -> None:
        secrets = sorted({each.encode("utf-8") for each in known}, key=len, reverse=True)
        self._known = [each for each in secrets if len(each) >= SHORTEST_SECRET]

    def headers(self, headers: Headers) -> Headers:
        """The same headers with secrets masked; the scheme of an `Authorization` stays."""
        return [(name, self._value(name, value)) for name, value in headers]

    def content(self, content: bytes) -> bytes:
        """A body, or a piece of one: known secrets and what has the shape of one."""
        for secret in self._known:  # the longest first: one may be a part of another
            content = content.replace(secret, MASK)
        for first_bytes, shape, mask in _SHAPES:
            if first_bytes in content:
                content = shape.sub(mask, content)
        return content

    def text(self, text: str) -> str:
        """The same of a line of a log, or of a message."""
        return self.content(text.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")

    def target(self, target: bytes) -> bytes:
        """A request's path and query: also the values of `?api_key=` and its like."""

        def masked(found: re.Match[bytes]) -> bytes:
            name = found[1][:-1].decode("ascii")
            return found[1] + MASK if name.lower() == "key" or is_telling(name) else found[0]

        return self.content(_QUERY.sub(masked, target))

    def command(self, command: str) -> str:
        """A command line: also the values of `--api-key` and its like, and of `HF_TOKEN=…` before a program."""
        return self.text(_VARIABLE.sub(_masked_by_name, _FLAG.sub(_masked_by_name, command)))

    def variable(self, name: str, value: str) -> str:
        """The value of an environment variable as it may be shown."""
        return MASK.decode("ascii") if is_telling(name) else self.text(value)

    def _value(self, name: bytes, value: bytes) -> bytes:
        if not is_telling(name.decode("latin-1")):
            return self.content(value)
        scheme, _, rest = value.strip().partition(b" ")
        return scheme + b" " + MASK if rest and scheme.lower() in _SCHEMES else MASK


def _masked_by_name(found: re.Match[str]) -> str:
    return found[1] + MASK.decode("ascii") if is_telling(found["name"]) else found[0]
