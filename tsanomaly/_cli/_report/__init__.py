# SPDX-License-Identifier: MIT
"""The report: a single HTML page that works offline.

The page is a Jinja template, filled with tables and sentences. Its charts are drawn by
uPlot, which is part of the page. uPlot draws 100,000 points in milliseconds, supports
time axes, synchronises charts, is as small as one picture, and has a compatible
licence, LICENSE-uPlot. A larger library would be most of the page.
"""

from tsanomaly._cli._report._page import make_page

__all__ = ["make_page"]
