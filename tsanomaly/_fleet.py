# SPDX-License-Identifier: MIT
import warnings
from collections.abc import Mapping
from contextlib import closing
from numbers import Integral

import numpy as np
from sklearn.base import BaseEstimator, MetaEstimatorMixin, OutlierMixin, clone
from sklearn.utils import get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import check_is_fitted

from tsanomaly._fleet_tasks import Failure, apply_one, fit_one, pooled_task
from tsanomaly._inspection import fitted_steps
from tsanomaly._progress import anybody_listens, counting, showing_bars
from tsanomaly._sklearn_compat import HasMethods, Interval, StrOptions, _fit_context
from tsanomaly._time_order import warn_if_unordered
from tsanomaly._validation import VersionedState, all_or_nothing

__all__ = ["FleetDetector"]

# Maximum number of names in a message.
_MOST_NAMED = 5


class FleetDetector(VersionedState, MetaEstimatorMixin, OutlierMixin, BaseEstimator):
    """Fit one detector per machine, and a fallback for unknown machines.

    The input is one long frame with the readings of all machines and a column that
    identifies the machine of each row. Each machine has its own clone of the detector,
    fitted on its rows only, which also scores them. A machine that was not seen during
    `fit`, or has few training rows, is scored by a fallback detector that is fitted on
    rows of all machines.

    Parameters
    ----------
    detector : estimator
        Outlier detector, or pipeline that ends in one, for the readings of one machine.
        Include scalers in it, because normal levels differ between machines.

    by : label, default='machine_id'
        Name of the column that identifies machines by numbers, strings or times. All
        other columns are channels.

    n_jobs : int or None, default=None
        Number of machines to fit or score in parallel with joblib. None means 1 unless
        in a :func:`joblib.parallel_config` context; -1 uses all processors. By default,
        joblib uses processes, each of which compiles a network once.

    min_rows : int, default=200
        Machines with fewer training rows use the fallback, because a threshold cannot
        be estimated from so few scores.

    fallback : {'pooled'}, estimator or None, default='pooled'
        Detector of machines without their own:

        - 'pooled': another clone of `detector`.
        - estimator: a clone of this estimator. Wrap a fitted one as
          ``FrozenEstimator(model)``.
        - None: no detector. These machines cause errors.

        The fallback is fitted on at most 20,000 rows, separated by breaks: the same
        number of first rows of each machine, but at least 200. If there are more than
        100 machines, it uses 100 of them, evenly spaced.

    on_error : {'raise', 'warn'}, default='raise'
        What to do if some machines fail, after all others have been processed:

        - 'raise': raise an error that names them. If `fit` fails, the fleet is
          unchanged.
        - 'warn': warn and name them. A machine that could not be fitted uses the
          fallback. If a machine could not be scored, its rows have the score NaN and
          are not flagged.

    verbose : int, default=0
        1 shows a progress bar on stderr. Requires tqdm.

    Attributes
    ----------
    groups_ : ndarray of shape (n_groups,)
        Names of the machines with their own detector, in order of appearance.

    detectors_ : dict
        Fitted detectors of these machines by name.

    fallback_ : estimator
        The fitted fallback. Defined unless ``fallback=None``.

    fallback_groups_ : ndarray
        Names of the machines that were seen during `fit` and use the fallback.

    errors_ : dict
        Error messages of machines that could not be fitted, by name, with
        ``on_error='warn'``.

    n_features_in_ : int
        Number of channels.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the channels, without `by`, in the order passed to the detectors.

    See Also
    --------
    tsanomaly.datasets.insert_breaks : Join several series for a single detector.

    Notes
    -----
    The rows of each machine must be in time order; rows of different machines may be
    interleaved. Detectors receive frames with the index of their rows, so calendar
    features work.

    A fleet cannot be a step of a pipeline, because other steps cannot handle the column
    of names. ``fleet.detectors_[name]`` is an ordinary fitted detector, which can be
    passed to :func:`~tsanomaly.explain` and :class:`StreamingDetector`.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from sklearn.ensemble import IsolationForest
    >>> from tsanomaly import FleetDetector
    >>> rng = np.random.default_rng(0)
    >>> frame = pd.DataFrame(rng.normal(size=(900, 2)), columns=["flow", "pressure"])
    >>> frame["machine_id"] = np.repeat(["pump 1", "pump 2", "pump 3"], 300)
    >>> fleet = FleetDetector(IsolationForest(random_state=0)).fit(frame)
    >>> fleet.score_samples(frame).shape
    (900,)
    >>> fleet.detectors_["pump 2"]
    IsolationForest(random_state=0)
    >>> new = pd.DataFrame(
    ...     {"flow": [0.0, 9.0], "pressure": [0.0, 9.0], "machine_id": "pump 4"}
    ... )
    >>> fleet.predict(new)
    array([ 1, -1])
    """

    _parameter_constraints: dict = {
        "detector": [HasMethods(["fit"])],
        "by": "no_validation",
        "n_jobs": [Integral, None],
        "min_rows": [Interval(Integral, 1, None, closed="left")],
        "fallback": [StrOptions({"pooled"}), HasMethods(["fit"]), None],
        "on_error": [StrOptions({"raise", "warn"})],
        "verbose": ["verbose"],
    }

    # Functions for the series of a single machine reject estimators with this flag.
    _one_model_per_group = True

    def __init__(
        self,
        detector,
        by="machine_id",
        *,
        n_jobs=None,
        min_rows=200,
        fallback="pooled",
        on_error="raise",
        verbose=0,
    ):
        self.detector = detector
        self.by = by
        self.n_jobs = n_jobs
        self.min_rows = min_rows
        self.fallback = fallback
        self.on_error = on_error
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y=None):
        """Fit a detector for each machine, and the fallback.

        Parameters
        ----------
        X : DataFrame of shape (n_timestamps, n_channels + 1)
            Readings of all machines with the column `by`. The rows of each machine must
            be in time order.
        y : array-like of shape (n_timestamps,) or None, default=None
            Labels, passed to the detectors.

        Returns
        -------
        self : FleetDetector
            The fitted fleet. If `fit` raises or is interrupted, the fleet is unchanged.

        Raises
        ------
        TypeError
            If `X` is not a DataFrame.
        ValueError
            If a parameter is out of range, or `X` has no rows, no channels, not exactly
            one column `by`, or missing values in this column.
        RuntimeError
            If machines could not be fitted, with ``on_error='raise'``, or none could.
        ImportError
            If `verbose` is set and tqdm is not installed.
        """
        self._fit(X, y, with_labels=False)
        return self

    @_fit_context(prefer_skip_nested_validation=False)
    def fit_predict(self, X, y=None):
        """Fit the fleet and label the training rows.

        Parameters
        ----------
        X : DataFrame of shape (n_timestamps, n_channels + 1)
            Readings of all machines, as in `fit`.
        y : array-like of shape (n_timestamps,) or None, default=None
            Labels, as in `fit`.

        Returns
        -------
        labels : ndarray of shape (n_timestamps,)
            Same as ``fit(X, y).predict(X)``, but faster if `fit_predict` of the
            detector is.
        """
        return self._fit(X, y, with_labels=True)

    def _fit_cross_fitted(self, X, y, n_blocks):
        """Fit, with thresholds set on out-of-fold errors."""
        self._validate_params()
        self._fit(X, y, with_labels=False, n_blocks=n_blocks)
        return self

    def _fit(self, X, y, *, with_labels, n_blocks=None):
        frame, names, rows = self._split(X)
        if not frame.shape[1]:
            raise ValueError(
                f"X has no columns except {self.by!r}, and therefore no channels."
            )
        if y is not None:
            y = np.asarray(y)
            if len(y) != len(frame):
                raise ValueError(
                    f"y must have one label for each of the {len(frame)} rows of X, "
                    f"got {len(y)}."
                )
        with all_or_nothing(self):
            own = [i for i, r in enumerate(rows) if len(r) >= self.min_rows]
            tasks = [
                delayed(fit_one)(
                    clone(self.detector),
                    frame.iloc[rows[i]],
                    None if y is None else y[rows[i]],
                    with_labels,
                    n_blocks,
                )
                for i in own
            ]
            fallback = self.detector if self.fallback == "pooled" else self.fallback
            if fallback is not None:
                tasks.append(pooled_task(fallback, frame, y, rows, n_blocks))
            results = self._run(tasks)
            failures = {}
            vars(self).pop("fallback_", None)
            if fallback is not None:
                model, _, failure = results.pop()
                broken = {i for i, (*_, why) in zip(own, results, strict=True) if why}
                sound = [r for i, r in enumerate(rows) if i not in broken]
                if failure is not None and broken and sound:
                    # Rows that broke a detector may also have broken the fallback.
                    task = pooled_task(fallback, frame, y, sound, n_blocks)
                    ((model, _, failure),) = self._run([task])
                if failure is None:
                    self.fallback_ = model
                else:
                    failures["the fallback"] = failure
            labels = np.ones(len(frame), dtype=np.intp)
            fitted, messages = [], {}
            self._models = []
            for i, (model, predicted, failure) in zip(own, results, strict=True):
                if failure is None:
                    fitted.append(i)
                    self._models.append(model)
                    if with_labels:
                        labels[rows[i]] = predicted
                else:
                    messages[i] = failure.text
                    failures[_describe(self.by, names[i])] = failure
            others = np.setdiff1d(np.arange(len(names)), fitted)
            self.groups_, self.fallback_groups_ = names[fitted], names[others]
            self._messages = [messages.get(i, "") for i in others]
            self.n_features_in_ = frame.shape[1]
            self.feature_names_in_ = np.asarray(frame.columns, dtype=object)
            if fallback is None:
                short = [i for i in others if i not in messages]
                failures |= {
                    _describe(self.by, names[i]): Failure(
                        f"{len(rows[i])} rows are fewer than min_rows={self.min_rows}, "
                        "and there is no fallback"
                    )
                    for i in short
                }
            self._report(failures, len(names), "fitted", stacklevel=5)
            if not self._models and not hasattr(self, "fallback_"):
                raise RuntimeError(
                    "No detector could be fitted: " + _list(failures) + "."
                )
            if with_labels and len(others):
                left = np.sort(np.concatenate([rows[i] for i in others]))
                labels[left] = self.predict(X.iloc[left])
        return labels

    @available_if(lambda self: hasattr(self.detector, "score_samples"))
    def score_samples(self, X):
        """Score each row with the detector of its machine.

        Scores of different machines are comparable only if the detectors return scores
        on a common scale, as :class:`HybridDetector` and, with default parameters,
        :class:`LSTMAutoencoderDetector` do.

        Parameters
        ----------
        X : DataFrame of shape (n_timestamps, n_channels + 1)
            Rows of any machines, with those of each machine in time order. Columns are
            matched by name.

        Returns
        -------
        scores : ndarray of shape (n_timestamps,)
            Scores in the order of the rows. The lower, the more abnormal. NaN at
            breaks.

        Raises
        ------
        TypeError
            If `X` is not a DataFrame.
        ValueError
            If columns are missing or unknown, the column `by` has missing values, or
            its type differs from that in `fit`.
        RuntimeError
            If machines could not be scored, with ``on_error='raise'``.
        """
        return self._apply("score_samples", X, np.nan)

    @available_if(lambda self: hasattr(self.detector, "decision_function"))
    def decision_function(self, X):
        """Return the score of each row relative to the threshold of its machine.

        Parameters
        ----------
        X : DataFrame of shape (n_timestamps, n_channels + 1)
            Rows of any machines, as in `score_samples`.

        Returns
        -------
        decision : ndarray of shape (n_timestamps,)
            Negative for anomalies, NaN at breaks.
        """
        return self._apply("decision_function", X, np.nan)

    def predict(self, X):
        """Label each row as normal or anomalous.

        Parameters
        ----------
        X : DataFrame of shape (n_timestamps, n_channels + 1)
            Rows of any machines, as in `score_samples`.

        Returns
        -------
        labels : ndarray of shape (n_timestamps,)
            -1 for anomalies, +1 for normal rows and breaks.
        """
        return self._apply("predict", X, 1)

    @available_if(lambda self: hasattr(self.detector, "transform"))
    def transform(self, X):
        """Transform each row with the detector of its machine.

        Parameters
        ----------
        X : DataFrame of shape (n_timestamps, n_channels + 1)
            Rows of any machines, as in `score_samples`.

        Returns
        -------
        errors : ndarray of shape (n_timestamps, n_columns)
            Output of `transform` of the detectors, in the order of the rows.
        """
        return self._apply("transform", X, np.nan)

    @property
    def detectors_(self):
        """Fitted detectors by machine name.

        Returns
        -------
        detectors : dict
            Detectors, without the fallback. If the fleet was loaded with ``lazy=True``,
            a mapping that reads each detector on first use.
        """
        self._check_fitted("detectors_")
        labels = _labels(self.groups_)
        if isinstance(self._models, list):
            return dict(zip(labels, self._models, strict=True))
        return _ByName(labels, self._models)

    @property
    def errors_(self):
        """Error messages of machines that could not be fitted, by name.

        Returns
        -------
        errors : dict of str
            Error messages. Empty if there were none.
        """
        self._check_fitted("errors_")
        named = zip(_labels(self.fallback_groups_), self._messages, strict=True)
        return {name: message for name, message in named if message}

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        # The input is a frame with a column of names, not a numeric array.
        tags.input_tags.two_d_array = False
        tags.input_tags.string = True
        # The tags of a pipeline do not tell whether its steps support NaN.
        steps = map(get_tags, fitted_steps(self.detector))
        tags.input_tags.allow_nan = all(step.input_tags.allow_nan for step in steps)
        tags.target_tags.required = get_tags(self.detector).target_tags.required
        return tags

    def _check_fitted(self, name):
        if not hasattr(self, "groups_"):
            raise AttributeError(
                f"This {type(self).__name__} has no {name} before it is fitted."
            )

    def _apply(self, method, X, missing):
        """Call a method of the detectors, and return results in the order of the rows.

        Parameters
        ----------
        method : str
            The method.
        X : DataFrame
            Input of the user.
        missing : float or int
            Result for machines that failed.
        """
        check_is_fitted(self)
        frame, names, rows = self._split(X)
        frame = self._in_order(frame)
        position = self._positions(names)
        fallback = getattr(self, "fallback_", None)
        models = [fallback if p < 0 else _take(self._models, p) for p in position]
        results = self._run(
            delayed(apply_one)(model, method, frame.iloc[r])
            for model, r in zip(models, rows, strict=True)
        )
        failures, shapes = {}, {}
        for i, (values, failure) in enumerate(results):
            if failure is not None:
                failures[_describe(self.by, names[i])] = failure
            else:
                shapes[values.shape[1:]] = i
        self._report(failures, len(names), "scored", stacklevel=4)
        if len(shapes) > 1:
            widths = [
                f"{shape[0] if shape else 1} for {_describe(self.by, names[i])}"
                for shape, i in shapes.items()
            ]
            raise ValueError(
                f"{method} returns different numbers of columns for different "
                f"detectors: {', '.join(widths)}. Use a step with a fixed number, for "
                "example PCA(8) instead of PCA(0.9), or the detectors in detectors_."
            )
        shape = next(iter(shapes)) if shapes else ()
        dtype = np.intp if method == "predict" else np.float64
        merged = np.full((len(frame), *shape), missing, dtype=dtype)
        for (values, failure), r in zip(results, rows, strict=True):
            if failure is None:
                merged[r] = values
        return merged

    def _run(self, tasks):
        """Run tasks, and return the results in order."""
        tasks = list(tasks)
        with showing_bars(self.verbose, f"verbose={self.verbose}"):
            if not anybody_listens():
                return Parallel(n_jobs=self.n_jobs)(tasks)
            # Progress is reported as results arrive.
            results = Parallel(n_jobs=self.n_jobs, return_as="generator")(tasks)
            with closing(results), counting(len(tasks), "models") as tell_done:
                collected = []
                for result in results:
                    collected.append(result)
                    tell_done(len(collected))
                return collected

    def _report(self, failures, n_groups, what, *, stacklevel):
        """Raise or warn, at the line that calls a method, if machines failed."""
        if not failures:
            return
        text = f"{len(failures)} of {n_groups} machines could not be {what}: "
        if "the fallback" in failures:
            text = "Some models could not be fitted: "
        text += _list(failures) + "."
        if self.on_error == "warn":
            warnings.warn(text, UserWarning, stacklevel=stacklevel)
            return
        cures = dict.fromkeys(failure.cure for failure in failures.values())
        cure = ", or ".join([*cures, "set on_error='warn' to continue without them"])
        error = RuntimeError(f"{text} {cure[0].upper()}{cure[1:]}.")
        first = next(iter(failures.values()))
        if first.trace:
            error.add_note(f"The first of them:\n{first.trace}")
        raise error

    def _split(self, X):
        """Return the channels, the names of the machines, and the rows of each."""
        import pandas as pd

        if not isinstance(X, pd.DataFrame):
            raise TypeError(
                f"X must be a DataFrame with the column {self.by!r} that identifies "
                f"the machine of each row, got {type(X).__name__}."
            )
        found = np.flatnonzero([label == self.by for label in X.columns])
        if len(found) != 1:
            raise ValueError(
                f"X must have one column {self.by!r} that identifies the machine of "
                f"each row, got {len(found)}; its columns are {list(X.columns)}. Pass "
                "the name of the column as by."
            )
        if not len(X):
            raise ValueError(
                f"Found array with 0 sample(s) (shape={X.shape}) while a minimum of 1 "
                "is required."
            )
        labels = X.iloc[:, found[0]]
        missing = np.flatnonzero(labels.isna())
        if len(missing):
            raise ValueError(
                f"Column {self.by!r} has {len(missing):,} missing values, first at row "
                f"{missing[0]}. Fill them in, or drop these rows."
            )
        codes, names = pd.factorize(labels)
        order = np.argsort(codes, kind="stable")
        ends = np.cumsum(np.bincount(codes))[:-1]
        frame = X.iloc[:, np.arange(X.shape[1]) != found[0]]
        # Plain numpy, whatever type the column has in pandas.
        names = pd.Index(np.asarray(names, dtype=object)).infer_objects().to_numpy()
        rows = np.split(order, ends)
        warn_if_unordered(frame, self, groups=rows)
        return frame, names, rows

    def _in_order(self, frame):
        """Return the channels in the order of `fit`."""
        expected = list(self.feature_names_in_)
        given = list(frame.columns)
        if given == expected:
            return frame
        if sorted(map(repr, given)) != sorted(map(repr, expected)):
            missing = [name for name in expected if name not in given]
            unknown = [name for name in given if name not in expected]
            raise ValueError(
                "The columns of X differ from those seen during fit: missing "
                f"{missing[:_MOST_NAMED]}, unknown {unknown[:_MOST_NAMED]}. Pass every "
                f"channel once, and the column {self.by!r}."
            )
        return frame[expected]

    def _positions(self, names):
        """Return the index of the detector of each machine, -1 for the fallback."""
        import pandas as pd

        seen = np.concatenate(
            [np.asarray(g, object) for g in (self.groups_, self.fallback_groups_)]
        )
        kind = {isinstance(name, str) for name in seen}
        given = {isinstance(name, str) for name in names}
        if not kind & given:
            raise ValueError(
                f"The names of machines in column {self.by!r} have another type than "
                f"in fit: {names[:1].tolist()[0]!r} now, {seen[0]!r} then. Convert the "
                "column, for example with astype."
            )
        return pd.Index(self.groups_).get_indexer(pd.Index(names))


class _ByName(Mapping):
    """Models by name, each taken from a sequence on demand."""

    def __init__(self, names, models):
        self._positions = {name: position for position, name in enumerate(names)}
        self._models = models

    def __getitem__(self, name):
        return self._models[self._positions[name]]

    def __contains__(self, name):
        return name in self._positions  # without reading it

    def __iter__(self):
        return iter(self._positions)

    def __len__(self):
        return len(self._positions)

    def __repr__(self):
        return f"<detectors of {len(self)} machines, read when they are used>"


def _take(models, position):
    """Return a model, or a failure if it cannot be read."""
    try:
        return models[position]
    except TypeError as error:
        return Failure.of(error, cure="load the fleet with these types in trusted")
    except Exception as error:  # any error; the other machines still run
        cure = "restore the model file and load it again, or fit the fleet again"
        return Failure.of(error, cure=cure)


def _labels(names):
    """Return names as dict keys. Times stay times."""
    import pandas as pd

    return pd.Index(names).tolist()


def _describe(by, name):
    return f"{by}={name}"


def _list(failures):
    """Format the first failures for a message."""
    texts = [f"{name} ({f.text})" for name, f in list(failures.items())[:_MOST_NAMED]]
    more = len(failures) - len(texts)
    return ", ".join(texts) + (f" and {more} more" if more else "")
