# SPDX-License-Identifier: MIT
"""The command that watches machines live."""

import os
import sys
import warnings
from collections import Counter
from contextlib import ExitStack, closing
from functools import partial
from hashlib import sha256
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from tsanomaly._cli._checks import check_duration
from tsanomaly._cli._inputs import check_order, load_model
from tsanomaly._cli._models import with_threshold
from tsanomaly._cli._parser import typed
from tsanomaly._parameter_error import Parameter, ParameterError, ParameterWarning
from tsanomaly._wording import count, time_span, visible

__all__ = ["watch"]

_LOCAL = ("127.0.0.1", "::1", "localhost")

# Minimum length of a token; shorter ones can be guessed.
_SHORTEST_TOKEN = 16

# Maximum number of different messages per reason for a rejection.
_MOST_TOLD = 3

# Reasons why a reading is rejected that repeats the time of another one, or is older,
# and the share of such readings that suggests several machines.
_REPEATED, _MANY = ("duplicate", "late"), 0.1


def watch(
    model,
    *,
    source=None,
    follow=False,
    listen=None,
    by=None,
    time=None,
    max_gap=None,
    outputs=("-",),
    state=None,
    token_file=None,
    most_machines=1000,
    threshold=None,
    quantile=None,
    k=None,
    alarm_params,
    n_channels=3,
    progress,
):
    """Score readings as they arrive.

    If events go to the standard output, they are the result; everything else is then
    printed as a message.

    Parameters
    ----------
    source : str or None
        '-', a file, or an MQTT address.
    follow : bool
        Whether to wait for more lines at the end of the file.
    listen : tuple (str, int) or None
        Host and port of the server.
    by, time : str or None
        Fields of the machine's name and the time.
    max_gap : str or None
        A longer pause between readings of a machine is a break.
    outputs : sequence of str
        Receivers of events.
    state : Path or None
        File that a restart continues from.
    token_file : Path or None
        File with the token.
    most_machines : int
        Maximum number of machines.
    model, threshold, quantile, k, alarm_params, n_channels, progress
        See above.
    """
    from tsanomaly._serve._outputs import Deliveries
    from tsanomaly._serve._watch import Watch

    token = _token(token_file)
    if listen is not None and token is None and listen[0] not in _LOCAL:
        raise ParameterError(
            Parameter("listen", f"{listen[0]}:{listen[1]}"),
            " accepts connections from other machines, and anyone there could change "
            "something without a token. Write a token to a file and pass it as ",
            Parameter("token_file"),
            ".",
        )
    if listen is not None and state is None:
        warnings.warn(
            ParameterWarning(
                "Readings received over HTTP are lost when the process ends. To keep "
                "their results, name a file with ",
                Parameter("state"),
                ".",
            ),
            stacklevel=2,
        )
    pause = None
    if max_gap is not None:
        pause = check_duration("max_gap", max_gap).to_timedelta64()
    if source is not None:
        check_order(model, Path(source))
    detector, manifest = load_model(model, progress)
    kept = manifest.get("preparation") or {}
    _warn_of_preparation(kept, max_gap)
    adjusted = partial(with_threshold, path=model, quantile=quantile, k=k)
    with ExitStack() as stack:
        watched = stack.enter_context(
            closing(
                Watch(
                    detector,
                    by=by,
                    timestamp=time,
                    alarm_params=alarm_params,
                    n_channels=n_channels,
                    max_gap=pause,
                    na_values=kept.get("na_values", ()),
                    threshold=threshold,
                    adjusted=adjusted,
                    state=state,
                    model_version=sha256(model.read_bytes()).hexdigest()[:12],
                    row_step=_step_of_training(manifest),
                    most_machines=most_machines,
                )
            )
        )

        def warn(text):
            progress.note(f"tsanomaly watch: warning: {visible(text)}")

        others = {
            "the model": model,
            "the source of the readings": source,
            "the state": state,
            "the file of the token": token_file,
        }
        found = [_output(place, others, progress) for place in dict.fromkeys(outputs)]
        deliveries = Deliveries(watched.state, found, warn)
        stack.callback(_close, deliveries, state is not None, warn)
        deliveries.tell()  # left by another process
        batches = None
        if source is not None:
            batches = _source(source, watched, follow, state is not None, warn)
        before = Counter(watched.counts)
        progress("watching")
        # In products as small as these, threads of linear algebra spend most of their
        # time waiting for each other. All libraries that use them are loaded by now.
        stack.enter_context(threadpool_limits(1, user_api="blas"))
        try:
            _run(watched, deliveries, batches, listen, token, warn)
        except KeyboardInterrupt:
            pass  # the usual end of a watch
        except SystemExit:
            progress.note(_summary(_counts(watched, before)))
            raise
        else:
            if listen is None:
                is_new = not before["accepted"]
                _check_source(
                    source, _counts(watched, before), is_new, watched.by is None
                )
        return _result(_counts(watched, before), outputs, progress)


def _warn_of_preparation(kept, max_gap):
    """Warn of preparation in training that `watch` does not repeat."""
    kept = {name: value for name, value in kept.items() if name != "na_values"}
    if kept.get("max_gap") is None or max_gap is not None:
        kept.pop("max_gap", None)
    if not kept:
        return
    cure = ["Send readings that are prepared in the same way"]
    if "resample" in kept:
        cure = [
            f"Send a row of all sensors every {kept['resample']}, each with its last "
            "reading"
        ]
    if "max_gap" in kept:
        cure += [", and pass ", Parameter("max_gap", kept["max_gap"])]
    warnings.warn(
        ParameterWarning(
            f"The model was trained with {typed(kept)}, and watch takes readings as "
            "they are, so that its scores may be too high or too low. ",
            *cure,
            ".",
        ),
        stacklevel=3,
    )


def _step_of_training(manifest):
    """Return the median time between the training rows, or None."""
    seconds = manifest.get("row_step")
    return None if seconds is None else np.timedelta64(round(seconds * 1e9), "ns")


def _run(watched, deliveries, batches, listen, token, warn):
    """Process readings until the source ends."""
    if listen is None:
        _take_all(watched, deliveries, batches, warn)
        return
    from tsanomaly._serve._http import Application
    from tsanomaly._serve._server import serve

    background = None
    if batches is not None:

        def background():
            _take_all(watched, deliveries, batches, warn)

    is_local = listen[0] in _LOCAL
    application = Application(watched, deliveries.tell, token, is_local=is_local)
    serve(application, *listen, background)


def _close(deliveries, is_kept, warn):
    """Deliver the remaining events, and report those that are lost."""
    deliveries.close()
    for place, n_waiting in deliveries.n_waiting().items():
        if n_waiting and not is_kept:
            warn(f"{count(n_waiting, 'event')} did not reach {place} and will not.")


def _take_all(watched, deliveries, batches, warn):
    """Score all readings of a source."""
    told, said = Counter(), set()
    for readings, position in batches:
        if not readings:
            continue
        outcome = watched.take(readings, position)
        rejected = {place for place, _ in outcome.rejected}
        names = {r.machine for i, r in enumerate(readings) if i not in rejected}
        for name, step in watched.other_rates(names).items():
            if told["rate"] < _MOST_TOLD:
                told["rate"] += 1
                warn(_of_other_rate(name, step, watched))
        if outcome.events:
            deliveries.tell()
        for _, wrong in outcome.rejected:
            if told[wrong.reason] < _MOST_TOLD and wrong not in said:
                told[wrong.reason] += 1
                said.add(wrong)
                warn(f"{wrong.reason}: {wrong.message}")


def _of_other_rate(name, step, watched):
    """Return the warning about a machine that sends readings at another rate."""
    import pandas as pd

    own, usual = map(time_span, map(pd.Timedelta, (step, watched.row_step)))
    sender = "The machine" if watched.by is None else repr(name)
    return (
        f"{sender} sends a reading every {own}, and the training rows came every "
        f"{usual}. As many readings cover another time, so scores "
        "may be too high or too low. Send readings at the rate of training, or train "
        "a model on readings of this rate."
    )


def _check_source(source, counts, is_new, is_one_machine):
    """Raise if nothing in a source could be read, and warn of repeated times.

    Parameters
    ----------
    source : str
        The source, which has ended.
    counts : dict
        As from `_counts`.
    is_new : bool
        Whether there were no earlier readings, which a sender may repeat.
    is_one_machine : bool
        Whether readings name no machine.
    """
    rejected = counts["rejected"]
    if not counts["readings"] and (is_new or rejected.keys() - _REPEATED):
        given = Parameter("source", source)
        if not rejected:
            raise ParameterError(
                given,
                " contains no reading. Pass CSV below a header, or JSON objects in "
                "lines.",
            )
        raise ParameterError(
            "No reading of ",
            given,
            f" was accepted; rejected: {_by_reason(rejected)}. Change what the "
            "warnings above name, and start again.",
        )
    n_repeated = sum(rejected.get(reason, 0) for reason in _REPEATED)
    n_all = counts["readings"] + sum(rejected.values())
    if is_new and is_one_machine and n_repeated > _MANY * n_all:
        warnings.warn(
            ParameterWarning(
                f"{n_repeated:,} of {n_all:,} readings were rejected because of their "
                "times. If they come from several machines, pass the field that names "
                "the machine as ",
                Parameter("by"),
                ".",
            ),
            stacklevel=3,
        )


def _source(source, watched, follow, is_kept, warn):
    """Open the source, as batches of readings."""
    from tsanomaly._serve._sources import FileSource, StreamSource

    if source == "-":
        return StreamSource(sys.stdin.buffer, watched.format).batches()
    if "://" in source:
        from tsanomaly._serve._mqtt import MqttSource

        # A broker keeps messages for a client name, so a restart must use the same
        # name.
        name = watched.state.watch if is_kept else None
        return MqttSource(source, watched.format, name).batches()
    if not follow and not Path(source).is_file():
        raise FileNotFoundError(
            f"There is no file {source}. Pass the path of the file of the readings, "
            f"from here, {Path.cwd()}, or as a whole."
        )
    position = watched.position(FileSource.name_of(source))
    file = FileSource(source, watched.format, warn, follow=follow, position=position)
    return file.batches()


def _output(place, others, progress):
    """Open a receiver of events, unless its file is another file of the command."""
    from tsanomaly._serve._outputs import FileOutput, LinesOutput, WebhookOutput

    if place == "-":
        return LinesOutput(progress.keep)
    if place.startswith(("http://", "https://")):
        return WebhookOutput(place)
    if "://" in place:
        from tsanomaly._serve._mqtt import MqttOutput

        return MqttOutput(place)
    for what, path in others.items():
        if path is not None and os.path.realpath(path) == os.path.realpath(place):
            raise ParameterError(
                Parameter("outputs", place),
                f" is {what}; events would overwrite it. Name another file.",
            )
    return FileOutput(place)


def _token(path):
    """Read the token from a file; None without a file."""
    if path is None:
        return None
    token = path.read_text(encoding="utf-8").strip()
    if len(token) < _SHORTEST_TOKEN or not token.isascii() or " " in token:
        raise ParameterError(
            Parameter("token_file", str(path)),
            f" holds no token of at least {_SHORTEST_TOKEN} letters and digits. Write "
            "a random token to it.",
        )
    return token


def _counts(watched, before):
    """Count what happened since the start."""
    counts = watched.counts - before
    prefix = "rejected "
    return {
        "readings": counts["accepted"],
        "flagged_readings": counts["flagged"],
        "alarms": counts["alarms raised"],
        "rejected": {
            name.removeprefix(prefix): number
            for name, number in sorted(counts.items())
            if name.startswith(prefix)
        },
    }


def _summary(result):
    text = f"{count(result['readings'], 'reading')}; alarms: {result['alarms']:,}"
    if result["rejected"]:
        text += f"; rejected: {_by_reason(result['rejected'])}"
    return text


def _by_reason(rejected):
    return ", ".join(f"{name} {number:,}" for name, number in rejected.items())


def _result(result, outputs, progress):
    """Return both results; if events are on the standard output, print the text."""
    text = _summary(result)
    if "-" not in outputs:
        return result, text
    progress.note(text)
    return result, None
