# SPDX-License-Identifier: MIT
"""Draw the picture of the README and the home page: ``python docs/draw_detection.py``.

What is drawn is what the detector returns at its defaults, on the server metrics that
come with the package.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tsanomaly import AlarmFilter, LSTMAutoencoderDetector, explain
from tsanomaly.datasets import load_smd

FOLDER = Path(__file__).parent / "_static"
THEMES = {
    "detection.png": {
        "page": "white",
        "ink": "#1f2933",
        "grid": "#d5dbe1",
        "line": "#3b5b7a",
        "expected": "#0a7d91",
        "incident": "#f2b8a0",
        "alarm": "#c2331b",
    },
    "detection_dark.png": {
        "page": "#14181e",
        "ink": "#ced6dd",
        "grid": "#3a434d",
        "line": "#9db7d0",
        "expected": "#3fb1c5",
        "incident": "#6b3527",
        "alarm": "#ff7a5c",
    },
}
CLOSE_UP = slice(39700, 40020)
CHANNEL = "ch_26"

machine = load_smd()
train, test = machine.frame[machine.train_mask], machine.frame[~machine.train_mask]
detector = make_pipeline(StandardScaler(), LSTMAutoencoderDetector(random_state=0))
detector.fit(train)
errors = -detector.score_samples(test)
threshold = -detector[-1].offset_
alarms = explain(detector, test, alarm_filter=AlarmFilter())
scaler, network = detector
expected = scaler.inverse_transform(network.reconstruct(scaler.transform(test)))
incidents = machine.events
overlap = (alarms.start.to_numpy()[:, None] <= incidents.end.to_numpy()) & (
    alarms.end.to_numpy()[:, None] >= incidents.start.to_numpy()
)  # (n_alarms, n_incidents)
right, found = overlap.any(axis=1), overlap.any(axis=0)


def draw(colors):
    plt.rcParams.update(
        {
            "font.family": "DejaVu Sans",
            "font.size": 10,
            "text.color": colors["ink"],
            "axes.labelcolor": colors["ink"],
            "axes.edgecolor": colors["grid"],
            "axes.facecolor": colors["page"],
            "axes.spines.top": False,
            "axes.spines.right": False,
            "figure.facecolor": colors["page"],
            "xtick.color": colors["ink"],
            "ytick.color": colors["ink"],
        }
    )
    figure, (overview, close_up) = plt.subplots(
        2, 1, figsize=(9, 5.6), height_ratios=(1.15, 1), layout="constrained"
    )
    draw_overview(overview, colors)
    draw_close_up(close_up, colors)
    return figure


def draw_overview(overview, colors):
    days = (test.index - test.index[0]) / 1440

    def day(row):
        return (row - test.index[0]) / 1440

    for event in incidents.itertuples():
        # At least two pixels wide, so that short incidents can be seen.
        overview.axvspan(
            day(event.start) - 0.01, day(event.end) + 0.01, color=colors["incident"]
        )
    overview.plot(days, errors, color=colors["line"], linewidth=0.6)
    overview.axhline(threshold, color=colors["ink"], linewidth=0.8, linestyle="--")
    overview.annotate(
        "threshold",
        (days[-1], threshold),
        xytext=(4, 0),
        textcoords="offset points",
        va="center",
        fontsize=9,
        annotation_clip=False,
    )
    for starts, face in (
        (alarms.start[right], colors["alarm"]),
        (alarms.start[~right], colors["page"]),
    ):
        overview.plot(
            day(starts),
            np.full(len(starts), 1.06),
            "v",
            transform=overview.get_xaxis_transform(),
            color=colors["alarm"],
            markerfacecolor=face,
            markersize=7,
            clip_on=False,
        )
    overview.set_xlim(0, days[-1])
    overview.set_ylim(0, None)
    overview.set_xlabel("days")
    overview.set_ylabel("error of the row")
    overview.set_title(
        f"{len(alarms)} alarms in {days[-1]:.0f} days, {right.sum()} of them in "
        f"labelled incidents; {found.sum()} of {len(incidents)} incidents found",
        loc="left",
        fontsize=11,
        fontweight="bold",
        pad=18,
    )


def draw_close_up(close_up, colors):
    rows = test.loc[CLOSE_UP].index
    at = test.index.get_indexer(rows)
    channel = list(test.columns).index(CHANNEL)
    shown = alarms[(alarms.start <= rows[-1]) & (alarms.end >= rows[0])]
    event = incidents[(incidents.start <= rows[-1]) & (incidents.end >= rows[0])].iloc[
        0
    ]
    minutes = np.arange(len(rows))
    close_up.axvspan(
        event.start - rows[0] - 0.5,
        event.end - rows[0] + 0.5,
        color=colors["incident"],
        label="labelled incident",
    )
    close_up.plot(
        minutes,
        test[CHANNEL].iloc[at],
        color=colors["line"],
        linewidth=1.2,
        label=f"reading of {CHANNEL}",
    )
    close_up.plot(
        minutes,
        expected[at, channel],
        color=colors["expected"],
        linewidth=1.8,
        linestyle=(0, (4, 2)),
        label="expected",
    )
    close_up.hlines(
        np.full(len(shown), 1.05),
        shown.start - rows[0] - 0.5,
        shown.end - rows[0] + 0.5,
        color=colors["alarm"],
        linewidth=5,
        transform=close_up.get_xaxis_transform(),
        clip_on=False,
        label="alarm",
    )
    close_up.set_xlim(0, minutes[-1])
    close_up.set_xlabel("minutes")
    close_up.set_ylabel(CHANNEL)
    close_up.set_title(
        f"The first alarm of day 11: {shown.sentence.iloc[0].partition(': ')[2]}",
        loc="left",
        fontsize=11,
        fontweight="bold",
        pad=14,
    )
    close_up.legend(
        loc="upper right",
        fontsize=9,
        facecolor=colors["page"],
        edgecolor=colors["page"],
        framealpha=1,
    )


if __name__ == "__main__":
    for name, colors in THEMES.items():
        with plt.rc_context():
            draw(colors).savefig(FOLDER / name, dpi=110)
