# SPDX-License-Identifier: MIT
"""Watch machines live: from readings to alarms, with a persistent state."""

import json
import time
from collections import Counter
from typing import NamedTuple

import numpy as np

from tsanomaly._alarm_filter import AlarmFilter
from tsanomaly._inspection import one_model_per_group
from tsanomaly._parameter_error import Parameter, ParameterError
from tsanomaly._saving import from_bytes, to_bytes
from tsanomaly._serve._machine import RECENT, Machine
from tsanomaly._serve._readings import ReadingFormat, Rejected
from tsanomaly._serve._state import State
from tsanomaly._validation import is_same_step

__all__ = ["Outcome", "UnknownName", "Watch"]

_PRIORITIES = ("low", "medium", "high")

# Fields of an alarm of a stream that are reported.
_TOLD = (
    *("start", "end", "raised", "peak", "score", "severity", "priority", "state"),
    *("channels", "shares", "readings", "expected"),
)

_DAY = np.timedelta64(1, "D")


class UnknownName(LookupError):
    """An unknown machine or alarm."""


class Outcome(NamedTuple):
    """Results of a batch of readings.

    Attributes
    ----------
    scores : ndarray of shape (n_readings,)
        Scores; NaN at breaks and for rejected readings.
    flags : ndarray of shape (n_readings,), dtype=bool
    rejected : list of (int, Rejected)
        With their positions.
    events : list of dict
    """

    scores: np.ndarray
    flags: np.ndarray
    rejected: list
    events: list

    @property
    def n_accepted(self):
        """Number of accepted readings."""
        return len(self.scores) - len(self.rejected)


class Watch:
    """Score readings of machines as they arrive, and report alarms.

    Parameters
    ----------
    detector : fitted estimator
        A detector of one machine, or a FleetDetector.
    by : str or None, default=None
        Field that names the machine, if one detector watches several machines; a fleet
        knows its own.
    timestamp : str or None, default=None
        Field of the time, as in `ReadingFormat`.
    alarm_params : dict or None, default=None
        Keywords for `AlarmFilter`.
    n_channels : int, default=3
        Maximum number of channels to name per alarm.
    max_gap : timedelta64 or None, default=None
        A longer pause between readings of a machine is a break.
    na_values : sequence of str, default=()
        Words for missing readings, as in `ReadingFormat`.
    threshold : float or None, default=None
        Threshold of the errors; None uses those of the detectors.
    adjusted : callable or None, default=None
        Returns the detector that scores, such as a copy with another threshold, for the
        detector of a machine.
    state : str, Path or None, default=None
        File that a restart continues from; None keeps the state in memory.
    model_version : str, default=''
        Identifies the model.
    row_step : timedelta64 or None, default=None
        Median time between the training rows of one machine. Not used for fleets,
        whose machines may differ.
    most_machines : int, default=1000
        Maximum number of machines, because names come from outside.
    clock : callable, default=time.time
        Seconds since 1970.

    Raises
    ------
    ValueError
        If `StreamingDetector` does not accept the detector, or the state belongs to
        another model.
    """

    def __init__(
        self,
        detector,
        *,
        by=None,
        timestamp=None,
        alarm_params=None,
        n_channels=3,
        max_gap=None,
        na_values=(),
        threshold=None,
        adjusted=None,
        state=None,
        model_version="",
        row_step=None,
        most_machines=1_000,
        clock=time.time,
    ):
        self._is_fleet = one_model_per_group(detector)
        self._own = {}
        if self._is_fleet:
            by = _same_column(detector.by, by)
            self._own = {str(name): own for name, own in detector.detectors_.items()}
        self._detector = detector
        self.by = by
        self.model_version = model_version
        self.row_step = None if self._is_fleet else row_step
        self._of_known_rate = set()  # machines whose rate was compared
        self.format = ReadingFormat(_channels_of(detector), by, timestamp, na_values)
        self._new_filter = lambda: AlarmFilter(**(alarm_params or {}))
        self._options = len(self.channels), n_channels, max_gap, threshold, adjusted
        self._most_machines = most_machines
        self.clock = clock
        self._machines = {}
        self._check(self._new_filter())
        self.state = State(state, model_version)
        self.lock = self.state.lock
        kept = self.state.fact("counts")
        self.counts = Counter() if kept is None else Counter(json.loads(kept))

    @property
    def channels(self):
        """Names of the channels."""
        return self.format.channels

    def take(self, readings, position=None):
        """Score readings of one machine or several.

        All returned results are in the state file.

        Parameters
        ----------
        readings : list of Reading or Rejected
            In the order of arrival.
        position : (str, str) or None, default=None
            Name of the source and its position after the readings, which is saved with
            them.

        Returns
        -------
        outcome : Outcome
        """
        with self.lock:
            touched, counts = {}, Counter()
            try:
                outcome = self._take(readings, touched, counts)
                counts += self.counts
                with self.state.writing():
                    self._write(touched, outcome, counts)
                    if position is not None:
                        self.state.set_fact(f"position {position[0]}", position[1])
            except BaseException:
                # Forget machines whose state in memory was not written.
                for name in touched:
                    self._machines.pop(name, None)
                raise
            self.counts = counts
            return outcome

    def position(self, source):
        """Return the position of a source after its last accepted readings, or None."""
        return self.state.fact(f"position {source}")

    def other_rates(self, names):
        """Find machines that send readings at another rate than in training.

        Parameters
        ----------
        names : iterable of str
            Machines to compare. Each is compared once by a process, when it has sent
            enough readings.

        Returns
        -------
        steps : dict of str to timedelta64
            Median time between the readings of each machine found.
        """
        found = {}
        if self.row_step is None:
            return found
        with self.lock:
            for name in set(names).intersection(self._machines) - self._of_known_rate:
                step = self._machines[name].step()
                if step is not None:
                    self._of_known_rate.add(name)
                    if not is_same_step(step, self.row_step):
                        found[name] = step
        return found

    def acknowledge(self, alarm, who=None):
        """Acknowledge an alarm.

        Returns
        -------
        event : dict or None
            None if it was acknowledged before.
        """
        with self.state.writing():
            body = self.state.alarm(alarm)
            if body is None:
                raise UnknownName(f"There is no alarm {alarm}.")
            if body["acknowledged"]:
                return None
            body |= {"acknowledged": True, "acknowledged_by": who}
            self.state.set_alarm(alarm, body)
            return self._tell("acknowledged", body)

    def accept_new_normal(self, machine, n_readings=None):
        """Accept the level of the last readings of a machine as normal.

        Parameters
        ----------
        machine : str
        n_readings : int or None, default=None
            Number of readings; None uses those since the start of the active alarm.

        Returns
        -------
        n_readings : int
            Number of readings used.

        Raises
        ------
        UnknownName
            If the machine is unknown.
        ValueError
            If there is neither an alarm nor a number, or if the detector cannot do
            this.
        """
        with self.lock:
            found = self.find(machine)
            times, _, rows = self.state.readings(machine, n_readings or RECENT)
            if n_readings is None:
                if found.alarm is None:
                    raise ValueError(
                        f"There is no alarm of {machine!r} that says since when it is "
                        "another. Say how many readings are the new normal."
                    )
                is_since = found.is_since_alarm(times)
                times, rows = times[is_since], rows[is_since]
            try:
                was_on = found.accept_new_normal(times, rows)
            except AttributeError as error:
                raise ValueError(str(error)) from error
            try:
                with self.state.writing():
                    if was_on:
                        self._clear(found)
                    model = to_bytes(found.detector)
                    self.state.set_detector(machine, model)
                    self.state.set_machine(machine, found.state())
            except BaseException:
                self._machines.pop(machine, None)
                raise
            return len(rows)

    def find(self, name):
        """Return a machine with readings, by its name.

        Raises
        ------
        UnknownName
            If there are no readings of the machine.
        """
        # Locked, so that no other thread restores the same machine in between.
        with self.lock:
            if name not in self._machines:
                state = self.state.machine(name)
                if state is None:
                    raise UnknownName(f"There is no machine {name!r}.")
                self._machines[name] = self._make(name, state)
            return self._machines[name]

    def machines(self):
        """Return all machines with readings, by name."""
        with self.lock:
            return {name: self.find(name) for name in self.state.machines()}

    def close(self):
        """Close the state."""
        self.state.close()

    def _check(self, alarm_filter):
        """Raise unless all detectors can be watched."""
        fleet = [*self._own.values(), getattr(self._detector, "fallback_", None)]
        for detector in fleet if self._is_fleet else [self._detector]:
            if detector is not None:
                Machine("", detector, alarm_filter, *self._options)

    def _detector_of(self, name):
        if not self._is_fleet:
            return self._detector
        return self._own.get(name, getattr(self._detector, "fallback_", None))

    def _make(self, name, state):
        model = self.state.detector(name)
        detector = self._detector_of(name) if model is None else from_bytes(model)
        machine = Machine(name, detector, self._new_filter(), *self._options)
        if state is not None:
            machine.restore(state, *self.state.readings(name, machine.n_recent))
        return machine

    def _machine(self, name):
        """Return a new or known machine, or a Rejected."""
        try:
            return self.find(name)
        except UnknownName:
            pass
        if self._detector_of(name) is None:
            return Rejected(
                "unknown machine",
                f"{name!r} is no machine that the fleet was trained on, and the fleet "
                "has no fallback.",
            )
        known = self._machines.keys() | self.state.machines()
        if len(known) >= self._most_machines:
            return Rejected(
                "too many machines",
                f"{name!r} would be one more than the {self._most_machines:,} machines "
                "that are watched at most.",
            )
        self._machines[name] = self._make(name, None)
        return self._machines[name]

    def _take(self, readings, touched, counts):
        scores = np.full(len(readings), np.nan)
        flags = np.zeros(len(readings), dtype=bool)
        rejected, groups = [], {}
        for position, reading in enumerate(readings):
            if isinstance(reading, Rejected):
                rejected.append((position, reading))
            else:
                groups.setdefault(reading.machine, []).append((position, reading))
        now = np.datetime64(round(self.clock() * 1e6), "us").astype("datetime64[ns]")
        for name, group in groups.items():
            machine = self._machine(name)
            if isinstance(machine, Rejected):
                rejected += [(position, machine) for position, _ in group]
                continue
            found = []
            touched[name] = machine, machine.n_readings, found
            taken, refused, n_reordered = machine.sort(group, now + _DAY)
            rejected += refused
            counts["reordered"] += n_reordered
            for block in machine.blocks(taken):
                rejected += self._score(machine, block, scores, flags, found)
            if not machine.n_readings:
                # Anybody can send names, so a name without readings is not kept.
                del self._machines[name]
        counts.update(f"rejected {wrong.reason}" for _, wrong in rejected)
        counts["accepted"] += len(readings) - len(rejected)
        counts["flagged"] += int(flags.sum())
        return Outcome(scores, flags, sorted(rejected), [])

    def _score(self, machine, block, scores, flags, found):
        """Score a block, or its halves if the detector rejects a reading in it."""
        if not block:
            return []
        positions = [position for position, _ in block]
        try:
            some, flagged, alarms = machine.take([reading for _, reading in block])
        # Errors by which scikit-learn rejects values. Others, such as a lack of memory,
        # are not caused by the reading, which the sender must send again.
        except (ValueError, TypeError) as error:
            if len(block) == 1:
                wrong = Rejected("refused", f"The detector refuses it: {error}")
                return [(positions[0], wrong)]
            half = len(block) // 2
            return [
                *self._score(machine, block[:half], scores, flags, found),
                *self._score(machine, block[half:], scores, flags, found),
            ]
        scores[positions], flags[positions] = some, flagged
        found.append((block, some, alarms))
        return []

    def _write(self, touched, outcome, counts):
        """Save the results of readings, and number the events."""
        for name, (machine, first, found) in touched.items():
            if not found:
                continue
            for block, scores, alarms in found:
                rows = np.array([reading.values for _, reading in block])
                times = np.array([r.time for _, r in block], dtype="datetime64[ns]")
                self.state.add_readings(
                    name, first, times, scores, rows, machine.n_recent
                )
                first += len(rows)
                outcome.events.extend(self._events(machine, alarms))
            self.state.set_machine(name, machine.state())
        for event in outcome.events:
            counts[f"alarms {event['type']}"] += 1
        self.state.set_fact("counts", json.dumps(counts))

    def _events(self, machine, alarms):
        """Return new events of the alarms of a machine."""
        on = {"state": "active"}  # until it is cleared, which may be in the same batch
        for alarm in alarms:
            known = machine.alarm
            if known is None or known["number"] != alarm["number"]:
                body = {"machine": machine.name, **_described(alarm)}
                body |= {"acknowledged": False, "acknowledged_by": None}
                body["alarm"] = self.state.add_alarm(body)
                machine.n_alarms.update(body["channels"][:1] or [""])
                yield self._tell("raised", body | on)
            else:
                body = self.state.alarm(known["alarm"]) | _described(alarm)
                rank = _PRIORITIES.index
                if rank(alarm["priority"]) > rank(known["priority"]):
                    yield self._tell("updated", body | on)
            self.state.set_alarm(body["alarm"], body)
            machine.alarm = None
            if alarm["state"] == "active":
                known = {name: alarm[name] for name in ("number", "priority")}
                start = {name: body[name] for name in ("alarm", "start")}
                machine.alarm = known | start
            else:
                yield self._tell("cleared", body)

    def _clear(self, machine):
        """End the alarm of a machine whose level is the new normal."""
        body = self.state.alarm(machine.alarm["alarm"]) | {"state": "cleared"}
        machine.alarm = None
        self.state.set_alarm(body["alarm"], body)
        self._tell("cleared", body)

    def _tell(self, what, body):
        event = {"type": what, "at": _iso(self.clock()), **body}
        return self.state.add_event(event)


def _channels_of(detector):
    """Return the names of the channels, or their numbers as texts."""
    names = getattr(detector, "feature_names_in_", None)
    if names is not None:
        return [str(name) for name in names]
    width = getattr(detector, "n_features_in_", None)
    if width is None:
        raise ValueError(
            f"{detector!r} does not say how many channels it takes. Watch a detector "
            "that was fitted on a frame with names of channels."
        )
    return [str(number) for number in range(width)]


def _same_column(own, by):
    """Return the column of a fleet; raise if another one is requested."""
    if by not in (None, own):
        raise ParameterError(
            Parameter("by", by),
            f" is another column than that of the fleet, {own!r}. Leave it out.",
        )
    return own


def _described(alarm):
    """Convert an alarm to JSON types."""
    told = {name: _plain(alarm[name]) for name in _TOLD}
    told["score"] = -told["score"]  # higher = worse, as in files of the commands
    return told | {"channels": [str(channel) for channel in alarm["channels"]]}


def _plain(value):
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if isinstance(value, np.generic):
        value = value.item()
    return None if value != value else value


def _iso(seconds):
    return str(np.datetime64(round(seconds * 1000), "ms")) + "Z"
