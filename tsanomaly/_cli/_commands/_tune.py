# SPDX-License-Identifier: MIT
"""The command that tunes the window length and the threshold."""

import numpy as np

from tsanomaly._cli._checks import (
    check_training_rows,
    naming_options,
    without_repetition,
)
from tsanomaly._cli._commands._results import finish
from tsanomaly._cli._faults import inject_faults
from tsanomaly._cli._files import RESULTS, Results, plain
from tsanomaly._cli._fleets import training_rows
from tsanomaly._cli._inputs import read
from tsanomaly._cli._models import build, settings
from tsanomaly._cli._parser import DEFAULT_BUDGET
from tsanomaly._cli._plan import has_readings, leave_out_dead
from tsanomaly._cli._preparation import step_seconds, to_keep
from tsanomaly._cli._text import visible
from tsanomaly._inspection import takes_missing
from tsanomaly._parameter_error import Parameter, ParameterError
from tsanomaly._validation import find_breaks
from tsanomaly._wording import count

__all__ = ["tune"]


def tune(
    csv,
    *,
    read_params,
    row_params,
    network_params,
    detector="lstm",
    missing="ignore",
    scaler="standard",
    random_state=0,
    columns=None,
    train_fraction=0.5,
    minutes=10.0,
    output_dir=RESULTS,
    bom=False,
    progress,
):
    """Tune the window length and the threshold, and train with the best.

    Parameters
    ----------
    detector : str
        Name of a detector, as of `build`.
    network_params, missing, scaler, random_state
        As of `build`.
    train_fraction : float
        Share of the rows, from the start, that candidates are fitted on; the other rows
        judge them.
    minutes : float
        Approximate time limit of the search, without the training of the final model.
    csv, read_params, row_params, columns, output_dir, bom, progress
        See above.
    """
    from tsanomaly import fit_cross_fitted
    from tsanomaly._cli._tuning import search
    from tsanomaly._saving import save_prepared

    model = build(
        detector,
        network_params=network_params,
        threshold_params={"method": "quantile", **DEFAULT_BUDGET},
        window_size=None,
        missing=missing,
        scaler=scaler,
        random_state=random_state,
    )
    readings = read(
        csv,
        read_params,
        row_params,
        columns=columns,
        must_be_complete=not takes_missing(model),
        progress=progress,
    )
    results = Results(output_dir, bom=bom)
    is_training = training_rows(readings.frame, train_fraction)
    if is_training.all():
        raise ParameterError(
            "No row is left to judge candidates by. Lower ",
            Parameter("train_fraction"),
            ".",
        )
    readings = leave_out_dead(readings, is_training, None)
    is_row = has_readings(readings.frame, None)
    check_training_rows(is_training[is_row], csv, None, [detector])
    train, test = readings.frame[is_training], readings.frame[~is_training]
    if readings.labels is None:
        test, y, events = inject_faults(test, None, random_state)
        judged_by = f"{count(len(events), 'fault')} injected into"
    else:
        y = readings.labels[~is_training]
        _check_labels(y)
        judged_by = "the labels of"
    best, chosen, table = search(
        model,
        detector,
        train,
        test,
        y,
        seconds=60 * minutes,
        random_state=random_state,
        progress=progress,
    )
    progress("training the best")
    with without_repetition(DEFAULT_BUDGET), naming_options(has_window_size=False):
        fit_cross_fitted(best, readings.frame)
    kept = to_keep(read_params, row_params)
    step = step_seconds(readings.frame.iloc[readings.rows], None)
    save_prepared(best, results.new("model.skops"), kept, step)
    results.table("tuning.csv", table, index=False)
    result = {
        "detector": detector,
        "candidates": len(table.drop_duplicates(list(chosen))),
        "judged_by_faults": readings.labels is None,
        "event_fscore": table["event_fscore"].iloc[0],
        "chosen": {name: repr(value) for name, value in chosen.items()},
        "settings": settings(best),
    }
    results.json("tuning.json", plain(result))
    text = "".join(f"{visible(note)}\n" for note in readings.notes)
    text += (
        f"{count(result['candidates'], 'candidate')}, judged by {judged_by} the last "
        f"{(~find_breaks(test)).sum():,} rows: event-wise F1 of their alarms\n\n"
        f"{table.head(10).round(3).to_string(index=False)}\n\n"
        f"trained with the first line on all {len(readings.rows):,} rows"
    )
    n_anomalous = 0
    if readings.labels is not None:
        n_anomalous = int((readings.labels[is_row] == 1).sum())
    if n_anomalous:
        text += (
            f", {n_anomalous:,} of which {'is' if n_anomalous == 1 else 'are'} "
            "labelled anomalous, and learned as normal. To leave them out, empty their "
            "sensor cells in a copy of the file, and train on it with these settings"
        )
    return finish(result, text, results)


def _check_labels(y):
    """Raise unless the labels contain anomalies."""
    if not np.any(y):
        raise ParameterError(
            f"None of the last {len(y):,} rows, by which candidates are judged, is "
            "labelled anomalous. Lower ",
            Parameter("train_fraction"),
            ", or leave the labels out with ",
            Parameter("drop"),
            " to judge them by injected faults.",
        )
