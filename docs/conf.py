"""How Sphinx builds these pages; ``tox -e docs`` does it, with every warning an error."""

import vidlink

project = "VidLink"
author = "The VidLink authors"
project_copyright = "The VidLink authors"
release = version = vidlink.__version__

extensions = ["myst_parser"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
nitpicky = True

html_theme = "alabaster"
html_theme_options = {"description": "Live screens, relayed and recorded", "page_width": "62rem"}
