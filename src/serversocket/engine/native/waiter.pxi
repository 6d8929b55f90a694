# `LoopWaiter`: has a task of asyncio wait for an event.

@cython.final
@cython.freelist(32)
@cython.auto_pickle(False)
cdef class LoopWaiter:
    """A future that runs its task directly; one task awaits it, once.

    `asyncio.Future` has the loop call the task in its next round. The events of a reactor come from the loop already,
    in a callback of its own, while no task runs: so the task is stepped at once, which saves a round for each
    message. If another task wakes it, or a program whose loop does not run, that is impossible, and the loop calls the
    task as usual.

    A task accepts as a future any object with `_asyncio_future_blocking` and these methods.

    Args:
        loop: The loop that the task runs in.
        current_task: `asyncio.current_task`.
        running_loop: `asyncio._get_running_loop`.
    """

    cdef public bint _asyncio_future_blocking
    cdef bint over
    cdef object loop, current_task, running_loop, callback, context, value
    cdef BaseException exception

    def __cinit__(self, loop, current_task, running_loop):
        self.loop = loop
        self.current_task = current_task
        self.running_loop = running_loop

    def get_loop(self):
        return self.loop

    def done(self):
        return self.over

    def result(self):
        if self.exception is not None:
            raise self.exception
        return self.value

    def set_result(self, result, /):
        self.value = result
        self._wake()

    def set_exception(self, exception, /):
        self.exception = exception
        self._wake()

    def finish_soon(self, exception=None):
        """As `set_exception` or `set_result`, for callers in which no task may run: the loop steps the task later."""
        self.exception = exception
        self.over = True
        self._wake_soon()

    def cancel(self, msg=None):
        if self.over:
            return False
        from asyncio import CancelledError
        self.exception = CancelledError() if msg is None else CancelledError(msg)
        self.over = True
        self._wake_soon()
        return True

    def add_done_callback(self, callback, *, context):
        self.callback = callback
        self.context = context
        if self.over:
            self._wake_soon()

    cdef int _wake(self) except -1:
        self.over = True
        callback = self.callback
        if callback is None:
            return 0
        if self.running_loop() is not self.loop or self.current_task(self.loop) is not None:
            return self._wake_soon()
        self.callback = None
        try:
            self.context.run(callback, self)
        except RuntimeError:    # the caller runs in the task's own context, which cannot be entered twice
            self.callback = callback
            self._wake_soon()
        return 0

    cdef int _wake_soon(self) except -1:
        callback = self.callback
        self.callback = None
        if callback is not None and not self.loop.is_closed():
            self.loop.call_soon(callback, self, context=self.context)
        return 0

    def __await__(self):
        return self

    def __iter__(self):
        return self

    def __next__(self):
        if not self.over:
            self._asyncio_future_blocking = True
            return self
        if self.exception is not None:
            raise self.exception
        if self.value is None:
            raise StopIteration     # which costs nothing: no exception object is made
        raise StopIteration(self.value)

    def throw(self, error, *rest):
        """Raises what the task throws in; a clearer error if the task's loop refuses a future of another loop."""
        if not self.over and self.running_loop() is not self.loop:
            raise errors.another_loop() from None
        raise error
