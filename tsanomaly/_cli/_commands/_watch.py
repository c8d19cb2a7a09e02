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

import pandas as pd
from threadpoolctl import threadpool_limits

from tsanomaly._cli._inputs import load_model
from tsanomaly._cli._models import with_threshold
from tsanomaly._cli._parser import typed
from tsanomaly._parameter_error import Parameter, ParameterError, ParameterWarning
from tsanomaly._wording import count, visible

__all__ = ["watch"]

_LOCAL = ("127.0.0.1", "::1", "localhost")

# Characters of a token, at least: fewer can be guessed.
_SHORTEST_TOKEN = 16

# Different messages about rejected readings, for each reason.
_MOST_TOLD = 3


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

    Lines of events are the result where they go to the standard output; what else
    there is to say then is a message.

    Parameters
    ----------
    source : str or None
        '-', a file, or an address of MQTT.
    follow : bool
        Whether to wait for more at the end of the file.
    listen : tuple (str, int) or None
        Host and port of the server.
    by, time : str or None
        Where the machine's name and the time are.
    max_gap : str or None
        A longer pause between readings of a machine is a break.
    outputs : sequence of str
        Where events go to.
    state : Path or None
        File of what a restart goes on from.
    token_file : Path or None
        File of the token.
    most_machines : int
        How many machines there can be.
    model, threshold, quantile, k, alarm_params, n_channels, progress
        See above.
    """
    from tsanomaly._serve._outputs import Deliveries
    from tsanomaly._serve._watch import Watch

    token = _token(token_file)
    if listen is not None and token is None and listen[0] not in _LOCAL:
        raise ParameterError(
            Parameter("listen", f"{listen[0]}:{listen[1]}"),
            " can be reached from other machines, which would need no token to change "
            "something. Write one into a file and name it with ",
            Parameter("token_file"),
            ".",
        )
    if listen is not None and state is None:
        warnings.warn(
            ParameterWarning(
                "Readings that were taken over HTTP are forgotten when the process "
                "ends. Name a file to keep what follows from them with ",
                Parameter("state"),
                ".",
            ),
            stacklevel=2,
        )
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
                    max_gap=_pause(max_gap),
                    na_values=kept.get("na_values", ()),
                    threshold=threshold,
                    adjusted=adjusted,
                    state=state,
                    model_version=sha256(model.read_bytes()).hexdigest()[:12],
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
        deliveries.tell()  # what another process has left
        batches = None
        if source is not None:
            batches = _source(source, watched, follow, state is not None, warn)
        before = Counter(watched.counts)
        progress("watching")
        # Threads of linear algebra wait for each other in products as small as these,
        # and take the processors meanwhile. All that uses it has been loaded by now.
        stack.enter_context(threadpool_limits(1, user_api="blas"))
        try:
            _run(watched, deliveries, batches, listen, token, warn)
        except KeyboardInterrupt:
            pass  # how a watch ends
        except SystemExit:
            progress.note(_summary(_counts(watched, before)))
            raise
        return _result(_counts(watched, before), outputs, progress)


def _warn_of_preparation(kept, max_gap):
    """Say what was done to readings in training, and is not done here."""
    kept = {name: value for name, value in kept.items() if name != "na_values"}
    if kept.get("max_gap") is None or max_gap is not None:
        kept.pop("max_gap", None)
    if not kept:
        return
    cure = ["Send readings that are prepared so"]
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


def _run(watched, deliveries, batches, listen, token, warn):
    """Take readings until there are no more, or forever."""
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
    """Hand over what is left, and say what is lost."""
    deliveries.close()
    for place, n_waiting in deliveries.n_waiting().items():
        if n_waiting and not is_kept:
            warn(f"{count(n_waiting, 'event')} did not reach {place} and will not.")


def _take_all(watched, deliveries, batches, warn):
    """Score the readings of a source."""
    told, said = Counter(), set()
    for readings, position in batches:
        if not readings:
            continue
        outcome = watched.take(readings, position)
        if outcome.events:
            deliveries.tell()
        for _, wrong in outcome.rejected:
            if told[wrong.reason] < _MOST_TOLD and wrong not in said:
                told[wrong.reason] += 1
                said.add(wrong)
                warn(f"{wrong.reason}: {wrong.message}")


def _source(source, watched, follow, is_kept, warn):
    """Batches of readings."""
    from tsanomaly._serve._sources import FileSource, StreamSource

    if source == "-":
        return StreamSource(sys.stdin.buffer, watched.format).batches()
    if "://" in source:
        from tsanomaly._serve._mqtt import MqttSource

        # A broker keeps messages for a name, which has to be the same after a restart.
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
    """What hands events over to a place, which is none of other files."""
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
                f" is {what}, which events would be written into. Name another file.",
            )
    return FileOutput(place)


def _token(path):
    """The token in a file, or None."""
    if path is None:
        return None
    token = path.read_text(encoding="utf-8").strip()
    if len(token) < _SHORTEST_TOKEN or not token.isascii() or " " in token:
        raise ParameterError(
            Parameter("token_file", str(path)),
            f" holds no token of at least {_SHORTEST_TOKEN} letters and digits. Write "
            "a random one into it.",
        )
    return token


def _pause(text):
    """A pause as numpy has it, or None."""
    if text is None:
        return None
    try:
        pause = pd.Timedelta(text)
    except ValueError:
        pause = None
    if pause is None or not pause > pd.Timedelta(0):
        raise ParameterError(
            Parameter("max_gap", text), " is no time. Pass one such as 10min or 1h."
        )
    return pause.to_timedelta64()


def _counts(watched, before):
    """What happened since the start, by what it was."""
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
        parts = [f"{name} {number:,}" for name, number in result["rejected"].items()]
        text += f"; not taken: {', '.join(parts)}"
    return text


def _result(result, outputs, progress):
    """The two results; the text is a message where lines are on the output."""
    text = _summary(result)
    if "-" not in outputs:
        return result, text
    progress.note(text)
    return result, None
