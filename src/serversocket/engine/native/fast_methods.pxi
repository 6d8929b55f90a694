# Faster calls by the interpreter, through slots of types and methods, and types' dictionaries.
#
# CPython does not promise this to extensions, but it is how CPython calls: each part does what a usual call does in the
# end, and makes a usual call in all cases that it does not know. docs/design.md tells what each part gains.

cdef extern from "Python.h":
    """
    #include "structmember.h"

    /* Makes an instance as a call of the class does, but without __init__; NULL with an exception set. */
    #define new_instance(cls, arguments) (((PyTypeObject *)(cls))->tp_new((PyTypeObject *)(cls), (arguments), NULL))

    /* The dictionary of a native type, which `setattr` refuses. Call PyType_Modified after a change. */
    #define type_dictionary(cls) (((PyTypeObject *)(cls))->tp_dict)

    /* Functions and methods, as most listeners are, are called where a call would end up in any case. */
    static inline PyObject *call_listener(PyObject *listener, void *event)
    {
        PyObject *arguments[2] = {NULL, (PyObject *)event};
        vectorcallfunc call;
        if (PyFunction_Check(listener))
            call = ((PyFunctionObject *)listener)->vectorcall;
        else if (PyMethod_Check(listener))
            call = ((PyMethodObject *)listener)->vectorcall;
        else
            return PyObject_CallOneArg(listener, (PyObject *)event);
        return call(listener, arguments + 1, 1 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    }

    /* A read-only attribute that is a field of the object. Unlike a property, the interpreter reads it in place. */
    #define offset_of_target(event) ((char *)&(event)->_target - (char *)(event))
    static PyObject *field_at(PyTypeObject *cls, PyMemberDef *member, const char *name, const char *doc,
                              Py_ssize_t offset)
    {
        member->name = name;
        member->type = T_OBJECT_EX;
        member->offset = offset;
        member->flags = READONLY;
        member->doc = doc;
        return PyDescr_NewMember(cls, member);
    }

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
    ctypedef struct PyMemberDef:
        pass
    ctypedef struct PyMethodDef:
        pass
    PyObject *new_instance(type cls, tuple arguments)
    PyObject *type_dictionary(type cls)
    void PyType_Modified(type)
    PyObject *call_listener(PyObject *listener, Event event)
    Py_ssize_t offset_of_target(Event event)
    object field_at(type cls, PyMemberDef *member, const char *name, const char *doc, Py_ssize_t offset)
    object method_descriptor(type cls, PyMethodDef *method, const char *name, void *function, const char *doc)


# A listener is often a method of the very object that it listens to, and nothing else that this cycle leads through
# could be cleared: not the tuple, not the method.
for _class in (Reactor, Source, Input, Output, Stream, Lingerer, Connector, Acceptor):
    (<PyTypeObject *> _class).tp_clear = (<PyTypeObject *> EventDispatcher).tp_clear


def extend_type(type cls, str name, value):
    """Sets an attribute on an event or dispatcher class; native ones refuse ``setattr``."""
    if not issubclass(cls, (Event, EventDispatcher)):
        raise TypeError(f"{cls.__name__} is no class of the engine")
    (<dict> type_dictionary(cls))[name] = value
    PyType_Modified(cls)


# ---- Event.target and Event.current_target, which are the same

cdef PyMemberDef target_field
cdef PyMemberDef current_target_field


cdef int _show_fields() except -1:
    cdef Event event = Event("")
    extend_type(Event, "target", field_at(
        Event, &target_field, "target",
        "The dispatcher that the event happened to; ``None`` until a listener was reached.",
        offset_of_target(event),
    ))
    extend_type(Event, "current_target", field_at(
        Event, &current_target_field, "current_target",
        "The dispatcher whose listener runs; for sockets always `target`.",
        offset_of_target(event),
    ))
    return 0


_show_fields()


# ---- methods of `Socket`
#
# The interpreter's adaptive instructions call the C function of a method descriptor directly, but only on instances of
# exactly the class that the descriptor was made for; methods of a Cython class that is inherited from take the long
# way. So the three that every message or connection needs are made anew for the class at the end of the line. They do
# the usual call themselves, and leave all others, by keyword or with a wrong number of arguments, to the method that
# they stand for.

cdef enum:
    METHODS = 3

cdef tuple METHOD_NAMES = ("read", "write", "close")
cdef list definition_texts = []      # the texts that the definitions point to


def quicken(type cls):
    """Gives a subclass of `Stream` direct methods: the class of most connections.

    The definition of a method descriptor has to outlive it, so it is never freed: only one class is quickened, unless a
    program imports the package anew.
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
    """Returns a signature in the form that precedes the documentation of a builtin."""
    return str(inspect.signature(method)).replace("(self", "($self", 1)


def _documentation(method):
    """Returns a docstring without the signature that Cython puts before it."""
    return inspect.getdoc(method).partition("\n\n")[2]


cdef object read_directly(Stream self, PyObject **arguments, Py_ssize_t count, PyObject *keywords):
    cdef Py_ssize_t wanted
    if count > 1 or keywords != NULL:
        return _leave("read", self, arguments, count, keywords)
    self._require(FINISHED, "read")
    if count == 0:
        return self._take(self.size)
    wanted = self._amount(<object> arguments[0])
    return self._take(wanted)


cdef object write_directly(Stream self, PyObject **arguments, Py_ssize_t count, PyObject *keywords):
    if count != 1 or keywords != NULL:
        return _leave("write", self, arguments, count, keywords)
    return self._write(<object> arguments[0])


cdef object close_directly(Stream self, PyObject **arguments, Py_ssize_t count, PyObject *keywords):
    if count or keywords != NULL:
        return _leave("close", self, arguments, count, keywords)
    self._end()
    return None


cdef object _leave(str name, Stream self, PyObject **arguments, Py_ssize_t count, PyObject *keywords):
    cdef Py_ssize_t index
    cdef list positional = [self]
    cdef dict named = {}
    for index in range(count):
        positional.append(<object> arguments[index])
    if keywords != NULL:
        for index, keyword in enumerate(<tuple> keywords):
            named[keyword] = <object> arguments[count + index]
    return getattr(Stream, name)(*positional, **named)
