# SPDX-License-Identifier: MIT
"""The report: one HTML page that needs no network and no server.

The page is a Jinja template, filled with tables and sentences. Its charts are drawn by
uPlot, which is part of the page: it draws 100,000 points in milliseconds, knows axes of
times, keeps several charts in step, is as small as one picture, and has a licence,
LICENSE-uPlot, that fits ours. Larger libraries would be most of the page.
"""

from tsanomaly._cli._report._page import make_page

__all__ = ["make_page"]
