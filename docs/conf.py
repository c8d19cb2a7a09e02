# SPDX-License-Identifier: MIT
"""Sphinx: builds without a network, and takes warnings for errors."""

import pkgutil
import sys
from importlib import import_module
from inspect import isclass, isroutine
from pathlib import Path

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx_gallery.sorting import ExplicitOrder

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # the checkout, not what may be installed

import tsanomaly  # noqa: E402

project = "tsanomaly"
author = "The tsanomaly developers"
copyright = author
release = version = tsanomaly.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "myst_parser",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "gallery/**/*.ipynb"]
default_role = "code"
# Links within the documentation must lead somewhere. Those to other projects do not:
# their inventories would have to be fetched.
nitpicky = True
nitpick_ignore_regex = [(".*", r"(?!tsanomaly)\w+\..*")]
source_suffix = {".rst": "restructuredtext", ".md": "markdown"}

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

numpydoc_show_class_members = False  # the template lists them
numpydoc_class_members_toctree = False


def members_by_class():
    """Full name of each public class, and its members that this package defines.

    These are methods and properties with names of fitted attributes, also those of
    private base classes. What scikit-learn defines, as ``set_output``, is left out.
    """
    modules = [tsanomaly] + [
        import_module(module.name)
        for module in pkgutil.iter_modules(tsanomaly.__path__, "tsanomaly.")
        if module.ispkg and not module.name.rpartition(".")[2].startswith("_")
    ]
    return {
        f"{module.__name__}.{name}": list(own_members(getattr(module, name)))
        for module in modules
        for name in module.__all__
        if isclass(getattr(module, name))
    }


def own_members(cls):
    for name in sorted({name for base in cls.__mro__ for name in vars(base)}):
        owner = next(base for base in cls.__mro__ if name in vars(base))
        if name.startswith("_") or not owner.__module__.startswith("tsanomaly."):
            continue
        member = vars(owner)[name]
        # What `available_if` makes is a descriptor, and has the method as `fn`.
        is_method = isroutine(member) or hasattr(member, "fn")
        if is_method or (isinstance(member, property) and name.endswith("_")):
            yield name


autosummary_context = {"members_by_class": members_by_class()}

sphinx_gallery_conf = {
    "examples_dirs": str(ROOT / "examples"),
    "gallery_dirs": "gallery",
    # Which examples use an object: its page shows them, and their code links to it.
    "backreferences_dir": "api/generated",
    "doc_module": ("tsanomaly",),
    "reference_url": {"tsanomaly": None},
    "subsection_order": ExplicitOrder(
        [
            "../examples/data",
            "../examples/detectors",
            "../examples/alarms",
            "../examples/operation",
            "*",
        ]
    ),
    "within_subsection_order": ExplicitOrder(
        [
            "plot_exploration.py",
            "plot_own_csv.py",
            "plot_sensor_health.py",
            "plot_features.py",
            "plot_classical_detectors.py",
            "plot_lstm_autoencoder.py",
            "plot_comparison.py",
            "plot_relations.py",
            "plot_forecaster.py",
            "plot_own_network.py",
            "plot_threshold_tuning.py",
            "plot_hybrid.py",
            "plot_server_metrics.py",
            "plot_server_machine.py",
            "plot_bearings.py",
            "plot_alarms.py",
            "plot_explanations.py",
            "plot_drift.py",
            "plot_anomaly_kinds.py",
            "plot_streaming.py",
            "plot_watch.py",
            "plot_fleet.py",
            "plot_operations.py",
            "*",
        ]
    ),
    "copyfile_regex": r".*\.csv",
    "capture_repr": (),  # a display is seen in its picture
    "show_memory": False,
    "write_computation_times": False,
    "show_signature": False,
    "remove_config_comments": True,
    "abort_on_example_error": True,
}

html_theme = "pydata_sphinx_theme"
html_title = f"tsanomaly {version}"
html_static_path = ["_static"]
html_css_files = ["tsanomaly.css"]
html_logo = "_static/logo.svg"
html_favicon = "_static/logo.svg"
html_theme_options = {
    "logo": {"text": "tsanomaly", "alt_text": ""},
    "header_links_before_dropdown": 5,
    "header_dropdown_text": "More",
    "navbar_end": ["theme-switcher"],
    "secondary_sidebar_items": ["page-toc"],
    "show_prev_next": True,
    "footer_start": ["copyright"],
    "footer_end": [],
}
# Pages that stand alone have nothing to show beside them.
html_sidebars = {
    "index": [],
    "install": [],
    "user_guide/quickstart": [],
    "about/*": [],
}
toc_object_entries_show_parents = "hide"
html_show_sourcelink = False
html_math_renderer = "mathml"


def _inline_math(self, node):
    self.body.append(str(tex2mathml(node.astext())))
    raise nodes.SkipNode


def _block_math(self, node):
    mathml = tex2mathml(node.astext(), as_block=True)
    self.body.append(f'<div class="math">{mathml}</div>')
    raise nodes.SkipNode


def setup(app):
    # Browsers draw MathML themselves; MathJax would have to be fetched from a network.
    app.add_html_math_renderer("mathml", (_inline_math, None), (_block_math, None))
