"""What fails in a supervisor's own turn: it is said once, and ends nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from logging import ERROR

from ..loop.reporting import logger

FIRST_PAUSE = 0.05  # seconds
LONGEST_PAUSE = 1.0


def say(level: int, text: str, *arguments: object, error: BaseException | None = None) -> None:
    """Logs a line; a handler or a filter of the program's that raises keeps nobody from going on.

    Args:
        level: One of the levels of `logging`.
        text: The text, with places for the arguments.
        arguments: What stands in them.
        error: What is logged with its traceback.
    """
    try:
        logger.log(level, text, *arguments, exc_info=error)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:
        pass  # there is nobody left to tell


class Faults:
    """What fails at present.

    A step that fails is tried again, and said to fail when it does so for the first time, or for another reason.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[object, str], str] = {}
        self._new = False
        self._pause = 0.0

    @contextmanager
    def contained(self, subject: object, trouble: str) -> Iterator[None]:
        """A step that may fail. `KeyboardInterrupt` and `SystemExit` are no failures.

        What would have had to wait, or was interrupted, has not failed either, and is quietly tried again.

        Args:
            subject: Who is in trouble, as the log calls it.
            trouble: What it is, as in "cannot be heard".
        """
        try:
            yield
        except (KeyboardInterrupt, SystemExit):
            raise
        except (BlockingIOError, InterruptedError):
            self._new = True
        except BaseException as error:
            self.result(subject, trouble, error)
        else:
            self.result(subject, trouble, None)

    def result(self, subject: object, trouble: str, error: BaseException | None) -> None:
        """Says that a step has failed, where that is not known; without an error it has succeeded."""
        if error is None:
            self._known.pop((subject, trouble), None)
            return
        self._new = True
        reason = _reason(error)
        if self._known.get((subject, trouble)) != reason:
            self._known[subject, trouble] = reason
            say(ERROR, "%s %s: %s", subject, trouble, reason, error=None if isinstance(error, OSError) else error)

    def forget(self, subject: object) -> None:
        """Nobody speaks of this one any more."""
        for known in [each for each in self._known if each[0] is subject]:
            del self._known[known]

    def pause(self) -> float:
        """Returns for how many seconds to wait before the next turn: what fails again and again must not spin."""
        failed, self._new = self._new, False
        self._pause = min(max(2 * self._pause, FIRST_PAUSE), LONGEST_PAUSE) if failed else 0.0
        return self._pause


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
