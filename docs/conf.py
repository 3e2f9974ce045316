"""Sphinx configuration."""

import sys
from pathlib import Path

from pelemay import __version__

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "pelemay"
author = "The pelemay developers"
copyright = "The pelemay developers, Apache-2.0"
release = __version__
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "generated",
]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
# Notebooks are kept without outputs, and run while the pages are built.
nb_execution_mode = "force"
nb_execution_timeout = 180
nb_execution_raise_on_error = True
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_member_order = "bysource"
napoleon_google_docstring = False
napoleon_use_rtype = False
# As a list: autodoc would describe each attribute again, and "a, b : type" is taken for one name.
napoleon_custom_sections = [("Attributes", "params_style")]
highlight_language = "text"
html_theme = "furo"
html_title = "pelemay"
exclude_patterns = ["_build", "_ext"]
