# Memory: all that goes by the count of an object's references, or changes the header of an object.
#
# The interpreter promises none of this to an extension: it holds in CPython, whose lock the engine has. So it stands
# here and nowhere else, and what a build without that lock needs is decided here. What each trick gains stands in
# docs/design.md.

cdef class Event        # see `our_event`


cdef extern from "Python.h":
    """
    /* Returns 1 if the reference in the caller's hands, its own or borrowed from a field of the engine, is the only one
       there is: nothing else keeps the object, and nobody sees what is done to it.
       Without the interpreter's lock this is PyUnstable_Object_IsUniquelyReferenced. */
    #define only_reference(thing) (Py_REFCNT(thing) == 1)

    /* Returns 1 if a borrowed pointer may become a reference; what is being deallocated must not be counted any more.
       Without the interpreter's lock this is PyUnstable_TryIncRef, which counts it too. */
    #define any_reference(thing) (Py_REFCNT(thing) > 0)

    /* As every deallocator does before it runs anything: nobody gets a reference to what is dying any more. Cython has
       given it one for as long as __dealloc__ runs, and this may only be done to what has none. */
    static void forget_weak_references(PyObject *dying)
    {
        Py_SET_REFCNT(dying, Py_REFCNT(dying) - 1);
        PyObject_ClearWeakRefs(dying);
        Py_SET_REFCNT(dying, Py_REFCNT(dying) + 1);
    }

    /* An item of a tuple, of which no reference is counted, nor of the tuple: something else holds both meanwhile. */
    #define borrowed_item(items, index) PyTuple_GET_ITEM((items), (index))

    /* A reference that is the caller's already, as an Event: it is counted no second time. */
    #define our_event(pointer) ((void *)(pointer))

    /* What was written since the program took the hash must not go by it. */
    static void forget_hash(PyObject *memory)
    {
        _Pragma("GCC diagnostic push")
        _Pragma("GCC diagnostic ignored \\"-Wdeprecated-declarations\\"")
        ((PyBytesObject *)memory)->ob_shash = -1;
        _Pragma("GCC diagnostic pop")
    }

    /* The beginning of a bytes object that nobody else holds, as all of it; its memory stays as large as it was. So it
       is lent: `reclaim` makes it whole again. */
    static PyObject *cut(PyObject *memory, Py_ssize_t size)
    {
        forget_hash(memory);
        Py_SET_SIZE((PyVarObject *)memory, size);
        PyBytes_AS_STRING(memory)[size] = 0;
        return Py_NewRef(memory);
    }

    /* Takes back what `cut` has lent, of which `size` is all; 0 if somebody still has it. */
    static inline int reclaim(PyObject *memory, Py_ssize_t size)
    {
        if (!only_reference(memory))
            return 0;
        Py_SET_SIZE((PyVarObject *)memory, size);
        return 1;
    }

    /* Cuts a bytes object that nobody else has seen, or that nobody else holds any more. Takes the reference. */
    static PyObject *shorten(PyObject *memory, Py_ssize_t size)
    {
        forget_hash(memory);
        if (Py_SIZE(memory) != size)
            _PyBytes_Resize(&memory, size);
        return memory;
    }

    /* Makes a bytes object that nobody else holds larger, in its place where the system can; without memory for that it
       stays as it was. Takes the reference. */
    static PyObject *lengthen(PyObject *memory, Py_ssize_t size)
    {
        PyObject *moved = PyObject_Realloc(memory, PyBytes_Type.tp_basicsize + size);
        if (moved == NULL)
            return memory;
        forget_hash(moved);
        Py_SET_SIZE((PyVarObject *)moved, size);
        PyBytes_AS_STRING(moved)[size] = 0;
        return moved;
    }
    """
    bint only_reference(PyObject *thing)
    bint any_reference(PyObject *thing)
    void forget_weak_references(PyObject *dying)
    PyObject *borrowed_item(PyObject *items, Py_ssize_t index)
    Event our_event(PyObject *pointer)
    void forget_hash(bytes memory)
    object cut(PyObject *memory, Py_ssize_t size)
    bint reclaim(PyObject *memory, Py_ssize_t size)
    object shorten(PyObject *memory, Py_ssize_t size)
    object lengthen(PyObject *memory, Py_ssize_t size)
