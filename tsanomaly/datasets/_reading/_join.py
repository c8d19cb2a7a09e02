# SPDX-License-Identifier: MIT
"""Join files with the same channels into one series."""

from collections import Counter

import numpy as np

from tsanomaly._parameter_error import Parameter, ParameterWarning
from tsanomaly.datasets._reading._names import list_names
from tsanomaly.datasets._reading._table import fault
from tsanomaly.datasets._reading._times import REGULARIZE, count_rows
from tsanomaly.datasets._steps import show_step, usual_step

__all__ = ["join_readings"]

_ELAPSED = 1970  # year of times since the start of a recording
_OTHER_STEP = 1.5  # ratio of steps that differ by more than jitter


def join_readings(paths, parts, by=None):
    """Put the rows of several files in time order.

    Parameters
    ----------
    paths : list of str
        Names of the files in messages.
    parts : list of Readings
        Contents of the files.
    by : str or None, default=None
        The channel that names machines, which may have rows of the same time.

    Returns
    -------
    frame, labels : DataFrame
        As returned by `read_sensor_csv`.
    messages : list of str
        Warnings about the files as a whole.

    Raises
    ------
    ValueError
        If the files have different columns, or times that do not form one series.
    """
    import pandas as pd

    messages = _complete_long(paths, parts)
    _check_columns(paths, [part.frame for part in parts], "channels")
    _check_columns(paths, [part.labels for part in parts], "labels")
    names = parts[0].frame.columns
    indices, said = _indices(paths, [part.frame.index for part in parts])
    messages += said
    frame = pd.concat([part.frame[names] for part in parts], ignore_index=True)
    labels = pd.concat(
        [part.labels[parts[0].labels.columns] for part in parts], ignore_index=True
    )
    frame.attrs = parts[0].frame.attrs
    if isinstance(indices[0], pd.RangeIndex):
        return frame, labels, messages
    sources = np.repeat(np.arange(len(parts)), list(map(len, indices)))
    index = indices[0].append(indices[1:]).rename(indices[0].name)
    messages += _other_steps(paths, indices)
    if by is None:  # files of several machines usually overlap
        messages += _overlaps(paths, indices)
    order = np.argsort(index.asi8, kind="stable")
    repeated = _repeated_rows(index[order], sources[order], frame, labels, order)
    if repeated.any():
        messages.append(
            f"{_first_and_last(paths)}: {count_rows(repeated.sum(), 'is', 'are')} in "
            f"more than one file, first {index[order][repeated.argmax()]}, and "
            f"{'was' if repeated.sum() == 1 else 'were'} used once."
        )
        order = order[~repeated]
    index, sources = index[order], sources[order]
    same = (index.asi8[1:] == index.asi8[:-1]) & (sources[1:] != sources[:-1])
    if by is not None:
        machines = frame[by].to_numpy()[order]
        same &= machines[1:] == machines[:-1]
    same = np.flatnonzero(same)
    if len(same):
        row = same[0]
        message = ParameterWarning(
            f"{_first_and_last(paths)}: {count_rows(len(same), 'has', 'have')} the "
            "same time as a row with other values in another file, first "
            f"{index[row + 1]} in "
            f"{paths[sources[row]]} and {paths[sources[row + 1]]}. All were kept. ",
            REGULARIZE,
            " averages them.",
        )
        messages.append(message)
    frame, labels = frame.iloc[order], labels.iloc[order]
    frame.index = labels.index = index
    return frame, labels, messages


def _complete_long(paths, parts):
    """Add missing sensors to files in long format, with a warning.

    Such a file has no row for a sensor that sent nothing.
    """
    if not all(part.is_long for part in parts):
        return []
    names = dict.fromkeys(name for part in parts for name in part.frame.columns)
    units, lacking = {}, {}
    for path, part in zip(paths, parts, strict=True):
        units = part.frame.attrs.get("units", {}) | units
        for name in names:
            if name not in part.frame:
                lacking.setdefault(name, []).append(path)
    if not lacking:
        return []
    for part in parts:
        part.frame = part.frame.reindex(columns=list(names))
        if units:
            part.frame.attrs["units"] = units
    name, without = next(iter(lacking.items()))
    return [
        f"{_first_and_last(paths)}: sensors without a row in some files: "
        f"{list_names(lacking)}. Their readings are missing there, as those of "
        f"{name!r} in {without[0]}."
    ]


def _first_and_last(paths):
    return f"{paths[0]} … {paths[-1]}"


def _check_columns(paths, frames, what):
    """Raise if the columns of a file differ from those of most files."""
    sets = [frozenset(frame.columns) for frame in frames]
    usual = Counter(sets).most_common(1)[0][0]
    model = sets.index(usual)
    for path, columns in zip(paths, sets, strict=True):
        lacking, more = usual - columns, columns - usual
        if not lacking and not more:
            continue
        parts = [
            f"{list_names(sorted(names))} {text}"
            for names, text in ((lacking, "missing"), (more, "only here"))
            if names
        ]
        cure = (
            (
                " Leave columns that are not in all files out with ",
                Parameter("drop"),
                ", or read the files one by one.",
            )
            if what == "channels"
            else (
                " Pass the label columns of all files as ",
                Parameter("label"),
                ", or ",
                Parameter("label", None),
                ".",
            )
        )
        raise fault(
            path,
            f"the {what} are not those of {paths[model]}: {', '.join(parts)}.",
            *cure,
        )


def _indices(paths, indices):
    """Return indices that can be joined, and warnings about them."""
    import pandas as pd

    if all(isinstance(index, pd.RangeIndex) for index in indices):
        return indices, [
            f"{_first_and_last(paths)}: there are no times, so the rows were "
            "concatenated in the order of the files, without breaks."
        ]
    zones = [index.tz for index in indices]
    for path, zone in zip(paths, zones, strict=True):
        if (zone is None) != (zones[0] is None):
            which = ["with", "without"] if zone is None else ["without", "with"]
            raise fault(
                path,
                f"the times have {'no' if zone is None else 'a'} time zone, while "
                f"those of {paths[0]} are {which[0]} one. Use the same kind of times "
                "in all files.",
            )
    if len(set(map(str, zones))) > 1:
        indices = [index.tz_convert("UTC") for index in indices]
    return indices, []


def _overlaps(paths, indices):
    """Yield a warning if the times of files overlap.

    Raise if the times count from the start of each recording.
    """
    spans = sorted(
        (index[0].value, index[-1].value, number)
        for number, index in enumerate(indices)
    )
    pairs, last = [], spans[0]
    for span in spans[1:]:
        if span[0] < last[1]:
            pairs.append((last[2], span[2]))
        last = max(last, span, key=lambda one: one[1])
    if pairs:
        one, other = pairs[0]
        if all(index[0].year <= _ELAPSED for index in indices):
            raise fault(
                paths[other],
                f"its times and those of {paths[one]} count from the start of each "
                "recording, so they cannot be sorted together. Read the files one by "
                "one.",
            )
        yield (
            f"{paths[other]}: its times start at {indices[other][0]}, before those of "
            f"{paths[one]} end at {indices[one][-1]}"
            + (f"; {len(pairs):,} files overlap in this way" if len(pairs) > 1 else "")
            + ". The rows of all files were sorted by time."
        )


def _other_steps(paths, indices):
    """Yield a warning if the usual steps of files differ."""
    steps = [
        (step, path)
        for path, index in zip(paths, indices, strict=True)
        if len(index) > 2 and (step := usual_step(index.asi8)[0])
    ]
    if steps:
        (short, path), (long, other) = min(steps), max(steps)
        if long > _OTHER_STEP * short:
            yield ParameterWarning(
                f"{other}: the usual step is {show_step(long)}, while it is "
                f"{show_step(short)} in {path}. ",
                REGULARIZE,
                " puts all rows on one grid.",
            )


def _repeated_rows(index, sources, frame, labels, order):
    """Mark ordered rows that also occur in an earlier file with the same values."""
    import pandas as pd

    repeated = np.zeros(len(order), dtype=bool)
    same = index.asi8[1:] == index.asi8[:-1]
    rows = np.flatnonzero(np.r_[False, same] | np.r_[same, False])
    if not len(rows):
        return repeated
    values = pd.concat([frame.iloc[order[rows]], labels.iloc[order[rows]]], axis=1)
    values.columns = range(values.shape[1])
    values["time"] = index.asi8[rows]
    values["source"] = sources[rows]
    keys = [name for name in values if name != "source"]
    first = values.groupby(keys, dropna=False, sort=False)["source"].transform("first")
    repeated[rows] = (first != values["source"]).to_numpy()
    return repeated
