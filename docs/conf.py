"""Sphinx: `make docs`."""

import ssl
import sys
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

import serversocket
from serversocket.loop import thread
from serversocket.net import contexts, hello, secure, server

# For their signatures; the modules import these where they are used.
thread.Future = Future
contexts.ssl = secure.ssl = ssl
server.TLS = ssl.SSLContext | Callable[[hello.ClientHello], ssl.SSLContext | Awaitable[ssl.SSLContext | None] | None]

project = "serversocket"
author = "serversocket contributors"
copyright = author
version = release = serversocket.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx_copybutton",
    "generated",
    "links",
    "llms",
    "reference",
    "tables",
]
exclude_patterns = ["_build", "_ext"]
nitpicky = True

# The docstrings write `name` for whatever is code; what of it is public becomes a link.
default_role = "code"
add_module_names = False
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_inherit_docstrings = True
python_maximum_signature_line_length = 88
toc_object_entries_show_parents = "hide"
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence", "deflist"]

html_theme = "furo"
html_title = f"serversocket {version}"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_copy_source = False
html_show_sourcelink = False
# Prompts and what programs answer are not copied.
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
