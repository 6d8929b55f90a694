"""Sphinx: `make docs`."""

import serversocket

project = "serversocket"
author = "serversocket contributors"
copyright = author
version = release = serversocket.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.intersphinx"]
html_theme = "furo"
html_title = "serversocket"
exclude_patterns = ["_build"]

# The docstrings say `name` where reStructuredText would want a role.
default_role = "any"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_inherit_docstrings = True
