# SPDX-License-Identifier: MIT
"""Label columns and their values."""

import re

import numpy as np
import pytest


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("anomaly", "0 1 0"),
        (" Is_Anomaly ", "0.0 1.0 0"),
        ("is anomaly", "0 1 0"),
        ("LABEL", "False TRUE false"),
        ("class", "no Yes NO"),
        ("Normal/Attack", "Normal Attack normal"),
        ("target", "normal anomaly normal"),
    ],
)
def test_labels_are_kept_apart(read, name, words):
    rows = [f"2024-01-0{day},7,{word}" for day, word in enumerate(words.split(), 1)]
    text = "\n".join([f"time,a,{name}", *rows])
    assert read(text).columns.tolist() == ["a"]
    frame, labels = read(text, return_labels=True)
    assert labels.columns.tolist() == [name.strip()]
    assert labels[name.strip()].tolist() == [0, 1, 0]
    assert labels.dtypes.tolist() == [np.int64]
    assert labels.index.equals(frame.index)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("attack_P1", "0 1 0"),
        ("anomaly_label", "0.0 1.0 0"),
        ("ground_truth", "no yes no"),
        ("GroundTruth", "0 1 0"),
        ("isFaultLabel 2", "0 1 0"),
    ],
)
def test_labels_by_a_longer_name_are_told(warned, name, words):
    rows = [f"2024-01-0{day},7,{word}" for day, word in enumerate(words.split(), 1)]
    text = "\n".join([f"time,a,{name}", *rows])
    (frame, labels), (message,) = warned(text, return_labels=True)
    assert frame.columns.tolist() == ["a"]
    assert labels[name].tolist() == [0, 1, 0]
    assert repr(name) in message
    assert "<label=None>" in message


def test_sensors_with_a_label_word_stay_channels(warned, read):
    rows = [f"2024-01-01 00:0{i},{i},{i % 2},0" for i in range(6)]
    text = "\n".join(["time,a,label_printer_on,fault_relay", *rows])
    (frame, labels), (message,) = warned(text, return_labels=True)
    names = ["label_printer_on", "fault_relay"]
    assert frame.columns.tolist() == ["a", *names]
    assert labels.shape[1] == 0
    assert "<label='label_printer_on'>" in message  # options take one name
    assert "<label=None>" in message
    assert read(text, label=None).columns.tolist() == ["a", *names]
    assert read(text, label=names).columns.tolist() == ["a"]


def test_columns_with_a_label_word(read, warned, fails):
    text = "time,a,{}\n2024-01-01,1,{}\n2024-01-02,1,{}\n2024-01-03,1,{}\n"
    name = "fault_current in A"
    assert name in read(text.format(name, 7.5, 8.5, 9.5)).columns
    assert "default" in read(text.format("default", 1, -1, 1)).columns
    assert "fault code" in read(text.format("fault code", 0, 1, 2)).columns
    frame, _ = warned(text.format("fault code", "", "", ""))
    assert "fault code" in frame.columns
    name = "Attack LABLE (1:No Attack; -1:Attack)"
    for values in [(1, -1, 1), (1, 1, 1), (1, -1, ""), (0, 1, ""), ("A", "B", "A")]:
        content = text.format(name, *values)
        fails(content, "line 2", re.escape(repr(name)), "<label", "<drop")
        assert read(content, drop=name).columns.tolist() == ["a"]
    content = text.format("fault_x", 1, -1, 1)
    assert read(content, label=None).columns.tolist() == ["a", "fault_x"]


def test_labels_of_words(read, fails):
    words = ["NORMAL", "BROKEN", "RECOVERING", "A ttack", "ok", "0", "1", "Good", "no"]
    rows = [f"2024-01-0{day},7,{word}" for day, word in enumerate(words, 1)]
    text = "\n".join(["time,a,class", *rows])
    _, labels = read(text, label="class", return_labels=True)
    assert labels["class"].tolist() == [0, 1, 1, 1, 0, 0, 1, 0, 0]
    fails(text, "'class'", "not a label", "<label>")
    fails(text.replace("BROKEN", "2"), "line 3", "'2'", label="class")
    fails(text.replace("BROKEN", ""), "line 3", "''", label="class")
    few = "time,a,s\n2024-01-01,1,RUNNING\n2024-01-02,1,BROKEN\n"
    fails(few, "line 2", "'s'", "means normal", label="s")
    # SWaT's own typing error is known.
    swat = "time,a,Normal/Attack\n2024-01-01,1,Normal\n2024-01-02,1,A ttack\n"
    assert read(swat, return_labels=True)[1].iloc[:, 0].tolist() == [0, 1]


@pytest.mark.parametrize("word", ["2", "", "-1", "yes", "x", "nan"])
def test_not_a_label(fails, warned, word):
    text = f"time,a,fault\n2024-01-01,1,0\n2024-01-02,1,1\n2024-01-03,1,{word}\n"
    fails(text, "line", "'fault'", "<label=None>")
    if word in ("2", "", "-1", "nan"):
        frame, (message,) = warned(text, label=None)
        assert frame.columns.tolist() == ["a", "fault"]
        assert "<drop='fault'>" in message


def test_which_columns_are_labels(read, warned, fails):
    text = "time,a,label,mine\n2024-01-01,5,0,1\n"
    assert read(text).columns.tolist() == ["a", "mine"]
    frame, (message,) = warned(text, label=None)
    assert frame.columns.tolist() == ["a", "label", "mine"]
    assert "names suggest labels: 'label'" in message
    assert "<drop='label'>" in message
    frame, labels = read(text, label=["mine", "label"], return_labels=True)
    assert frame.columns.tolist() == ["a"]
    assert labels.iloc[0].tolist() == [1, 0]
    frame, (message,) = warned(text, label="mine")
    assert frame.columns.tolist() == ["a"]
    assert "left out, because" in message
    assert "'label'" in message
    assert warned(text, label=None, return_labels=True)[0][1].shape == (1, 0)
    assert "label" in read(text, by="label", label="mine").columns
    fails(text, "'none'", "not among", label="none")
    fails(text, "line 2", "'a'", "'5'", label="a")
    fails(text, "'time'", "label", label="time", timestamp="time")
