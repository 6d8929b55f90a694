# Methods of `Socket` that the interpreter calls without a detour.
#
# Its adaptive instructions call the C function of a method descriptor directly, but only on instances of exactly the
# class that the descriptor was made for; methods of a Cython class that is inherited from take the long way. So the
# three that every message or connection needs are made anew for the class at the end of the line. They
# do the usual call themselves, and leave all others, by keyword or with a wrong number of arguments, to the
# method that they stand for.

cdef extern from "Python.h":
    """
    static PyObject *method_descriptor(PyTypeObject *cls, PyMethodDef *method, const char *name, void *function,
                                       const char *doc)
    {
        method->ml_name = name;
        method->ml_meth = (PyCFunction)function;
        method->ml_flags = METH_FASTCALL | METH_KEYWORDS;
        method->ml_doc = doc;
        return PyDescr_NewMethod(cls, method);
    }
    """
    ctypedef struct PyMethodDef:
        pass
    object method_descriptor(type cls, PyMethodDef *method, const char *name, void *function, const char *doc)


cdef enum:
    METHODS = 3

cdef list METHOD_NAMES = ["read", "write", "close"]
cdef list definition_texts = []      # what the definitions point to
cdef object general_read = Stream.read
cdef object general_write = Stream.write
cdef object general_close = Stream.close


def quicken(type cls):
    """Gives a subclass of `Stream` direct methods: the class that most connections are of.

    What a method descriptor is made from has to outlive it, so it is never freed: no more than one class is quickened,
    but for a program that imports the package anew.
    """
    cdef void *functions[METHODS]
    cdef int index
    cdef PyMethodDef *definitions
    if not issubclass(cls, Stream):
        raise TypeError(f"{cls!r} cannot be quickened")
    definitions = <PyMethodDef *> PyMem_Malloc(METHODS * sizeof(PyMethodDef))
    if definitions == NULL:
        raise MemoryError
    functions[0] = <void *> read_directly
    functions[1] = <void *> write_directly
    functions[2] = <void *> close_directly
    for index in range(METHODS):
        name = METHOD_NAMES[index].encode()
        general = getattr(Stream, METHOD_NAMES[index])
        text = f"{METHOD_NAMES[index]}{_signature(general)}\n--\n\n{_documentation(general)}".encode()
        definition_texts.append((name, text))
        setattr(cls, METHOD_NAMES[index], method_descriptor(cls, &definitions[index], name, functions[index], text))


def _signature(method):
    """As the text before a builtin's documentation has it."""
    return str(inspect.signature(method)).replace("(self", "($self", 1)


def _documentation(method):
    """Without the signature that Cython puts before it."""
    return inspect.getdoc(method).partition("\n\n")[2]


cdef object read_directly(Stream self, PyObject **arguments, Py_ssize_t count, PyObject *keywords):
    cdef Py_ssize_t wanted
    if count > 1 or keywords != NULL:
        return _leave(general_read, self, arguments, count, keywords)
    self._require(FINISHED, "read")
    if count == 0:
        return self._take(self.size)
    wanted = self._amount(<object> arguments[0])
    return self._take(wanted)


cdef object write_directly(Stream self, PyObject **arguments, Py_ssize_t count, PyObject *keywords):
    if count != 1 or keywords != NULL:
        return _leave(general_write, self, arguments, count, keywords)
    return self._write(<object> arguments[0])


cdef object close_directly(Stream self, PyObject **arguments, Py_ssize_t count, PyObject *keywords):
    if count or keywords != NULL:
        return _leave(general_close, self, arguments, count, keywords)
    self._end()
    return None


cdef object _leave(method, Stream self, PyObject **arguments, Py_ssize_t count, PyObject *keywords):
    cdef Py_ssize_t index
    cdef list positional = [self]
    cdef dict named = {}
    for index in range(count):
        positional.append(<object> arguments[index])
    if keywords != NULL:
        for index, name in enumerate(<tuple> keywords):
            named[name] = <object> arguments[count + index]
    return method(*positional, **named)
