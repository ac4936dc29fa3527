"""Make the items of an iterator in a thread, ahead of those who want them."""

from __future__ import annotations

import contextvars
import threading
from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")

_PATIENCE = 5.0  # seconds that the thread has for the item that it is making when nobody wants it


class Prefetch(Generic[T]):
    """The items of an iterator, at most `ahead` of them made before they are taken; of 0 each is
    made when it is waited for, without a thread.

    What the iterator raises comes when the items before it have been taken.
    """

    def __init__(self, items: Iterator[T], ahead: int) -> None:
        self._items, self._ahead = items, ahead
        self._ready: deque[T] = deque()
        self._error: BaseException | None = None
        self._over = self._closed = False
        self._changed = threading.Condition()
        context = contextvars.copy_context()  # settings such as np.errstate hold there, too
        self._thread = threading.Thread(
            target=context.run, args=(self._work,), name="graphc prefetch", daemon=True
        )
        self._begun = False

    def wait(self) -> bool:
        """Whether there is another item, which `take` gives without waiting."""
        if not self._ahead:
            return self._make()
        if not self._begun:  # not before: whoever made this is ready to close it now
            self._begun = True
            self._thread.start()
        with self._changed:
            self._changed.wait_for(lambda: self._ready or self._over)
            return bool(self._ready)

    def check(self) -> None:
        """Raise what the iterator raised."""
        error, self._error = self._error, None
        if error is not None:
            raise error

    def take(self) -> T:
        """The next item."""
        with self._changed:
            self._changed.notify_all()
            return self._ready.popleft()

    def close(self) -> None:
        """End the thread; one that waits for the user's code ends after that."""
        with self._changed:
            self._closed = True
            self._ready.clear()
            self._changed.notify_all()
        if not self._ahead and not self._over:
            self._end()
        if self._thread.is_alive():
            self._thread.join(_PATIENCE)

    def _make(self) -> bool:
        """Make the next item here; whether there is one."""
        try:
            if not self._ready and not self._over:
                self._ready.append(next(self._items))
        except StopIteration:
            self._end()
        except Exception as error:
            self._error = error
            self._end()
        return bool(self._ready)

    def _work(self) -> None:
        try:
            while self._has_room():
                item = next(self._items)
                with self._changed:
                    self._ready.append(item)
                    self._changed.notify_all()
        except StopIteration:
            pass
        except BaseException as error:  # whatever it is, it is raised where the item is wanted
            self._error = error
        finally:
            self._end()

    def _has_room(self) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._closed or len(self._ready) < self._ahead)
            return not self._closed

    def _end(self) -> None:
        try:
            close = getattr(self._items, "close", None)
            if close is not None:
                close()
        except BaseException as error:  # what the user's `finally` raises
            self._error = self._error or error
        with self._changed:
            self._over = True
            self._changed.notify_all()
