# The parts of the native engine, which _core.pyx includes. A package to Cython and its tools alone.
