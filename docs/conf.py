"""Sphinx configuration."""

import os
import sys
import warnings
from pathlib import Path

warnings.filterwarnings("ignore", message=".*is deprecated", module="sphinx.*")  # of Sphinx's own making
sys.path.insert(0, str(Path(__file__).parent / "_ext"))
os.environ["TQDM_DISABLE"] = "1"  # pages hold results, no progress bars

from deis import __version__  # noqa: E402

project = "deis"
author = "The torch-deis developers"
project_copyright = "The torch-deis developers"
version = release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.viewcode",
    "sphinxcontrib.bibtex",
    "sphinx_gallery.gen_gallery",
    "docstrings",
    "example",
    "integrator_table",
    "mathml",
    "problem_table",
    "public_names",
    "results_table",
    "tuning_table",
]
exclude_patterns = ["_build", "gallery"]
nitpicky = True
nitpick_ignore_regex = [
    (r"py:.*", r"(_pytest|collections|pathlib|torch)\..*"),  # not linked: the build needs no network
    (r"py:class", r"abc\.ABC"),
    (r"py:.*", r".*\.[CMT]"),  # type variables
    # bases and data without a page
    (
        r"py:class",
        r"deis\.(integrators\.(stages|wrapper|foreign|phi_steps|frames|own_grid)|odes\.trigonometric|numerics\.\w+|problems\.(linearised|periodic|waves))\..*",
    ),
    (r"py:.*", r"deis\.tuning\.(pairs\.Batch|influence\.contributions)"),
]

myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 3
math_numfig = False
html_math_renderer = "mathml"

bibtex_bibfiles = ["references.bib"]
bibtex_default_style = "unsrt"

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_inherit_docstrings = False  # what a class overrides is documented where it is abstract
add_module_names = False
python_maximum_signature_line_length = 88

sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "auto_gallery",
    "filename_pattern": r"/plot_",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "write_computation_times": False,  # the pages are the same at every build
    "capture_repr": (),
    "show_memory": False,
    "min_reported_time": 1e9,
    "show_signature": False,
    "remove_config_comments": True,
    "plot_gallery": True,
    "image_srcset": ["2x"],
}

html_theme = "furo"
html_title = "deis"
html_static_path = ["_static"]
html_css_files = ["deis.css"]
html_copy_source = False
