"""Builds the native engine: one extension of all its parts. All else about the package stands in pyproject.toml.

SERVERSOCKET_BUILD chooses what is built:

    auto     native on Linux with CPython, and pure, with a message, where no compiler can build it (the default)
    native   native, or the build fails
    pure     pure

The build itself is the test of the compiler, so a wheel never promises extensions that it does not hold: a pure
one is py3-none-any, however it came to be pure.

For developers: SERVERSOCKET_SANITIZE=address,undefined builds with these sanitizers, SERVERSOCKET_TRACE=1 with line
tracing for coverage.
"""

import os
import platform
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import BaseError, CCompilerError

BUILD = os.environ.get("SERVERSOCKET_BUILD") or "auto"
TRACE = os.environ.get("SERVERSOCKET_TRACE") == "1"
SUITABLE = sys.platform == "linux" and platform.python_implementation() == "CPython"

if BUILD not in ("auto", "native", "pure"):
    sys.exit(f"serversocket: SERVERSOCKET_BUILD={BUILD!r} is none of auto, native, pure")
if BUILD == "native" and not SUITABLE:
    sys.exit("serversocket: SERVERSOCKET_BUILD=native: the native engine needs Linux and CPython")


class BuildExt(build_ext):
    """Falls back to a pure package where that is allowed."""

    def initialize_options(self):
        super().initialize_options()
        self.cython_c_in_temp = not TRACE  # coverage reads the C file beside the source

    def finalize_options(self):
        super().finalize_options()
        self.force = True  # what an earlier build left behind may be another compiler's, or made with other flags

    def build_extensions(self):
        try:
            super().build_extensions()
        except (BaseError, CCompilerError) as error:
            if BUILD == "native":
                raise
            self.fall_back(error)

    def fall_back(self, error):
        for extension in self.extensions:
            Path(self.get_ext_fullpath(extension.name)).unlink(missing_ok=True)
        self.extensions = []
        self.distribution.ext_modules = None
        wheel = self.distribution.get_command_obj("bdist_wheel", create=False)
        if wheel is not None:
            wheel.root_is_pure = True
        print(
            "serversocket: the native engine could not be compiled; the package will run on pure Python "
            f"(SERVERSOCKET_BUILD=native makes this an error). The compiler said: {error}",
            file=sys.stderr,
        )


def native_engine():
    # A socket address is read through pointers of several types, which strict aliasing would forbid.
    compile_args = ["-O3", "-fno-strict-aliasing"]
    link_args = []
    macros = []
    directives = {}
    if sanitizers := os.environ.get("SERVERSOCKET_SANITIZE"):
        compile_args = ["-O1", "-g", "-fno-omit-frame-pointer", "-fno-strict-aliasing", f"-fsanitize={sanitizers}"]
        link_args = [f"-fsanitize={sanitizers}"]
    if TRACE:
        macros = [("CYTHON_TRACE_NOGIL", "1"), ("CYTHON_USE_SYS_MONITORING", "0")]
        directives = {"linetrace": True}
    extension = Extension(
        "serversocket._core",
        ["src/serversocket/_core.pyx"],
        define_macros=macros,
        extra_compile_args=compile_args,
        extra_link_args=link_args,
    )
    extension.cython_directives = directives
    return extension


setup(
    ext_modules=[native_engine()] if SUITABLE and BUILD != "pure" else [],
    cmdclass={"build_ext": BuildExt},
)
