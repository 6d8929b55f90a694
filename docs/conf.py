"""Sphinx: `make docs`."""

import serversocket

project = "serversocket"
author = "serversocket contributors"
copyright = author
version = release = serversocket.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
html_title = "serversocket"
exclude_patterns = ["_build"]

# The docstrings write `name` for whatever is code.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_inherit_docstrings = True
