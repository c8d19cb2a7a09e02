# SPDX-License-Identifier: MIT
"""Progress on a terminal while a command runs."""

import os
import sys
from time import sleep

import pytest

from tsanomaly._cli import main
from tsanomaly._cli._terminal import Progress

TINY = ["--window-size", "10", "--units", "4", "--epochs", "1"]
CLEARED = "\r\x1b[K"


class Terminal:
    """A stream that says it is one."""

    def __init__(self):
        self.text = ""

    def isatty(self):
        return True

    def write(self, text):
        self.text += text

    def flush(self):
        """Nothing is held back."""


@pytest.mark.parametrize("detector", ["lstm", "hybrid"])
def test_bars_show_how_far_a_network_is(detector, plant, folder, monkeypatch):
    terminal, output = Terminal(), Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(sys, "stdout", output)
    command = ["train", plant, "--detector", detector, *TINY, "--no-plots"]
    assert main(command) == 0
    training = f"training {detector} on 480 rows"
    assert f"{training} {'░' * 20} 0 of 1 epochs" in terminal.text
    assert f"{training} {'█' * 20} 1 of 1 epochs" in terminal.text
    assert "\b" not in output.text  # no bars of Keras among the results
    terminal.text = ""
    model = str(folder / "model.skops")
    assert main(["detect", model, plant, "--threshold", "0", "--no-plots"]) == 0
    if detector == "lstm":
        # 256 rows at a time, by the linear map.
        assert f"scoring 600 rows {'█' * 8}{'░' * 12} 256 of 600 rows" in terminal.text
        assert f"describing alarms {'█' * 20} 600 of 600 rows" in terminal.text
    else:
        assert "scoring 600 rows █" in terminal.text
    assert terminal.text.endswith(CLEARED)


def test_progress_is_erased_on_a_terminal(plant, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert main(["explore", plant, "--no-plots"]) == 0
    assert "reading" in terminal.text
    assert terminal.text.endswith(CLEARED)


# NumPy warns of Keras on PyTorch, in lines that are not progress bars.
@pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")
def test_progress_keeps_to_one_line_of_a_narrow_terminal(plant, monkeypatch):
    terminal = Terminal()
    terminal.fileno = lambda: 2
    monkeypatch.setattr(sys, "stderr", terminal)
    size = os.terminal_size((40, 24))
    monkeypatch.setattr(os, "get_terminal_size", lambda _: size)
    assert main(["train", plant, "--detector", "lstm", *TINY, "--no-plots"]) == 0
    lines = terminal.text.split(CLEARED)
    assert max(map(len, lines)) == 39
    assert any(f"{'█' * 20} 1 of 1 epochs …" in line for line in lines)
    assert lines[-1] == ""


def test_a_bar_shows_how_far_channels_are_explained(plant, folder, monkeypatch):
    options = ["--detector", "iforest", "--no-plots"]
    assert main(["train", plant, *options]) == 0
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    model = str(folder / "model.skops")
    assert main(["detect", model, plant, "--no-plots", "--quantile", "0.3"]) == 0
    # Each of the ten rows of a window is a column of four channels.
    assert f"{'░' * 20} 0 of 40 columns" in terminal.text
    assert f"{'█' * 15}{'░' * 5} 30 of 40 columns" in terminal.text
    assert terminal.text.endswith(CLEARED)


def test_a_silent_step_shows_how_long_it_takes():
    terminal = Terminal()
    with Progress(terminal, patience=0.05, tick=0.01) as progress:
        progress("scoring")
        assert terminal.text == f"{CLEARED}scoring …"
        sleep(0.2)
        assert terminal.text.endswith(f"{CLEARED}scoring … 0 s")
        progress.advance(1, 2, "rows")
        assert terminal.text.endswith(f"scoring {'█' * 10}{'░' * 10} 1 of 2 rows … 0 s")
        progress("saving")  # starts anew
        assert terminal.text.endswith(f"{CLEARED}saving …")
    assert terminal.text.endswith(CLEARED)
    shown = terminal.text
    sleep(0.1)
    assert terminal.text == shown  # the clock has stopped


def test_what_is_printed_stays():
    terminal, output = Terminal(), Terminal()
    with Progress(terminal, output, tick=60) as progress:
        progress("training")
        progress.keep("one result")
        assert terminal.text.endswith(CLEARED)
        progress.advance(1, 1, "epochs")
        assert "training █" in terminal.text.rsplit(CLEARED, 1)[1]
    assert output.text == "one result\n"


def test_nothing_is_shown_without_a_terminal(capsys):
    with Progress(sys.stderr, patience=0, tick=0.001) as progress:
        progress("scoring")
        progress.advance(1, 2, "rows")
        progress.keep("a result that nobody wants")
        sleep(0.01)
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""
