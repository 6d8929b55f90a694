"""Failures in a supervisor's own turn: each is logged once, and none ends the supervisor."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from logging import ERROR

from ..loop.reporting import logger

FIRST_PAUSE = 0.05  # seconds
LONGEST_PAUSE = 1.0


def say(level: int, text: str, *arguments: object, error: BaseException | None = None) -> None:
    """Logs a line. Exceptions of the program's logging handlers and filters are dropped.

    Args:
        level: One of the levels of `logging`.
        text: The text, with placeholders for the arguments.
        arguments: The values of the placeholders.
        error: An exception to log with its traceback.
    """
    try:
        logger.log(level, text, *arguments, exc_info=error)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:
        pass  # logging itself failed, so it cannot be reported


class Faults:
    """The steps that fail at present.

    A failed step is tried again. A failure is logged when it occurs for the first time, or for another reason.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[object, str], str] = {}
        self._new = False
        self._pause = 0.0

    @contextmanager
    def contained(self, subject: object, trouble: str) -> Iterator[None]:
        """Contains a step that may fail. `KeyboardInterrupt` and `SystemExit` propagate.

        A step that would block or was interrupted has not failed; it is tried again without a log record.

        Args:
            subject: The process or place concerned, as the log names it.
            trouble: The failure in words, such as "cannot be killed".
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
        """Logs a failure that is not known yet; without an error, notes that the step has succeeded."""
        if error is None:
            self._known.pop((subject, trouble), None)
            return
        self._new = True
        reason = _reason(error)
        if self._known.get((subject, trouble)) != reason:
            self._known[subject, trouble] = reason
            say(ERROR, "%s %s: %s", subject, trouble, reason, error=None if isinstance(error, OSError) else error)

    def forget(self, subject: object) -> None:
        """Drops the known failures of a subject that is gone."""
        for known in [each for each in self._known if each[0] is subject]:
            del self._known[known]

    def pause(self) -> float:
        """Returns how many seconds to wait before the next turn, so that repeated failures do not spin."""
        failed, self._new = self._new, False
        self._pause = min(max(2 * self._pause, FIRST_PAUSE), LONGEST_PAUSE) if failed else 0.0
        return self._pause


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
