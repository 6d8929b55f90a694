# Memory: all code that depends on an object's reference count, or changes an object's header.
#
# The interpreter does not promise this to extensions: it holds in CPython, whose lock the engine has. So it is all in
# this file, where a build without that lock makes its changes. docs/design.md tells what each part gains.

cdef class Event        # see `our_event`


cdef extern from "Python.h":
    """
    /* Returns 1 if the caller's reference, its own or borrowed from a field of the engine, is the only one: nothing
       else keeps the object, and no other code sees its changes.
       Without the interpreter's lock this is PyUnstable_Object_IsUniquelyReferenced. */
    #define only_reference(thing) (Py_REFCNT(thing) == 1)

    /* Returns 1 if a borrowed pointer may become a reference; an object that is being deallocated must not get one.
       Without the interpreter's lock this is PyUnstable_TryIncRef, which counts it too. */
    #define any_reference(thing) (Py_REFCNT(thing) > 0)

    /* Clears weak references before a deallocator runs other code, so that a dying object gets no new reference. Cython
       has given it one while __dealloc__ runs, and the clearing requires that it has none. */
    static void forget_weak_references(PyObject *dying)
    {
        Py_SET_REFCNT(dying, Py_REFCNT(dying) - 1);
        PyObject_ClearWeakRefs(dying);
        Py_SET_REFCNT(dying, Py_REFCNT(dying) + 1);
    }

    /* An item of a tuple, without counting a reference to it or to the tuple: other references keep both meanwhile. */
    #define borrowed_item(items, index) PyTuple_GET_ITEM((items), (index))

    /* A reference that the caller owns already, as an Event: it is not counted again. */
    #define our_event(pointer) ((void *)(pointer))

    /* Forgets a hash that was taken before the content changed. */
    static void forget_hash(PyObject *memory)
    {
        _Pragma("GCC diagnostic push")
        _Pragma("GCC diagnostic ignored \\"-Wdeprecated-declarations\\"")
        ((PyBytesObject *)memory)->ob_shash = -1;
        _Pragma("GCC diagnostic pop")
    }

    /* Shortens a bytes object with one reference, and returns a second one for the program. Its memory keeps its size:
       `reclaim` makes it whole again. */
    static PyObject *cut(PyObject *memory, Py_ssize_t size)
    {
        forget_hash(memory);
        Py_SET_SIZE((PyVarObject *)memory, size);
        PyBytes_AS_STRING(memory)[size] = 0;
        return Py_NewRef(memory);
    }

    /* Restores the `size` of an object that `cut` has shortened; returns 0 if it has other references. */
    static inline int reclaim(PyObject *memory, Py_ssize_t size)
    {
        if (!only_reference(memory))
            return 0;
        Py_SET_SIZE((PyVarObject *)memory, size);
        return 1;
    }

    /* Shortens a bytes object with one reference for good. Takes the reference. */
    static PyObject *shorten(PyObject *memory, Py_ssize_t size)
    {
        forget_hash(memory);
        if (Py_SIZE(memory) != size)
            _PyBytes_Resize(&memory, size);
        return memory;
    }

    /* Enlarges a bytes object with one reference, in its place if the system can; without memory for that it stays as
       it was. Takes the reference. */
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
