"""Sphinx configuration."""

from deis import __version__

project = "deis"
author = "The torch-deis developers"
project_copyright = "The torch-deis developers"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.mathjax", "sphinx.ext.viewcode"]
myst_enable_extensions = ["dollarmath", "colon_fence"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "deis"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
add_module_names = False
nitpicky = False
