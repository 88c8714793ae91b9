"""A dictionary of bounded size that forgets what was not used for longest."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

__all__ = ["Lru"]

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Lru(Generic[Key, Value]):
    """Remembers values up to a total size.

    Args:
        max_size: Total size at most.
        size_of: Size of one value; 1 each where None. A value larger than ``max_size`` is not kept.

    >>> cache = Lru(max_size=2); cache.put("a", 1); cache.put("b", 2); cache.get("a"); cache.put("c", 3)
    1
    >>> cache.get("a"), cache.get("b"), cache.get("c")
    (1, None, 3)
    """

    def __init__(self, *, max_size: int, size_of: Callable[[Value], int] | None = None) -> None:
        self._max_size = max_size
        self._size_of = size_of or (lambda _: 1)
        self._values: OrderedDict[Key, Value] = OrderedDict()
        self._size = 0

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: Key) -> Value | None:
        """Return the value, or None where it is not kept."""
        if key not in self._values:
            return None
        self._values.move_to_end(key)
        return self._values[key]

    def put(self, key: Key, value: Value) -> None:
        """Keep a value, in place of an earlier one of that key."""
        if key in self._values:
            self._size -= self._size_of(self._values.pop(key))
        if self._size_of(value) > self._max_size:
            return  # it would push out all others, and then itself
        self._values[key] = value
        self._size += self._size_of(value)
        while self._size > self._max_size:
            _, forgotten = self._values.popitem(last=False)
            self._size -= self._size_of(forgotten)
