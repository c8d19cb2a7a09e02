# SPDX-License-Identifier: MIT
import warnings
from contextlib import closing
from numbers import Integral

import numpy as np
from sklearn.base import BaseEstimator, MetaEstimatorMixin, OutlierMixin, clone
from sklearn.utils import get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import check_is_fitted

from tsanomaly._fleet_tasks import Failure, apply_one, fit_one, pooled_task
from tsanomaly._progress import anybody_listens, counting, showing_bars
from tsanomaly._sklearn_compat import HasMethods, Interval, StrOptions, _fit_context
from tsanomaly._time_order import warn_if_unordered
from tsanomaly._validation import VersionedState, all_or_nothing

__all__ = ["FleetDetector"]

# How many names a message lists.
_MOST_NAMED = 5


class FleetDetector(VersionedState, MetaEstimatorMixin, OutlierMixin, BaseEstimator):
    """Fit one detector for every machine, and one for those it does not know.

    Takes the readings of many machines in one long frame, with a column that says which
    row is whose. Every machine gets a clone of the detector, fitted on its rows alone,
    and every row the score that its machine's detector gives it. A machine that was
    not among the training rows, or with few of them, is scored by a detector that
    learned from rows of all machines.

    Parameters
    ----------
    detector : estimator
        An outlier detector, or a pipeline that ends in one, for the readings of one
        machine. Scalers belong into it: what is usual differs from machine to
        machine.

    by : label, default='machine_id'
        The column of names: numbers, strings or times. All other columns are channels.

    n_jobs : int or None, default=None
        Machines that are fitted or scored at the same time, through joblib. None is 1,
        unless in a :func:`joblib.parallel_config` context; -1 takes all processors.
        The default workers of joblib are processes, and each compiles a network once.

    min_rows : int, default=200
        A machine with fewer training rows is left to the fallback: the tail of so few
        scores says little about a threshold.

    fallback : {'pooled'}, estimator or None, default='pooled'
        What scores machines without a detector of their own:

        - 'pooled': another clone of `detector`.
        - an estimator: a clone of this one; a fitted one is passed as
          ``FrozenEstimator(model)``.
        - None: nothing. Such machines are errors.

        It is fitted on at most 20,000 rows: the first ones of each machine, equally
        many, but at least 200 (of a hundred machines evenly chosen, where there are
        more), joined by breaks.

    on_error : {'raise', 'warn'}, default='raise'
        What to do if some machines fail. All others are fitted, or scored, first;
        then:

        - 'raise': an error that names those that failed. A fleet that could not be
          fitted completely stays as it was.
        - 'warn': a warning that names them. A machine that could not be fitted is left
          to the fallback; the rows of one that could not be scored have NaN as scores
          and are not flagged.

    verbose : int, default=0
        1 shows a progress bar on the standard error stream. Needs tqdm.

    Attributes
    ----------
    groups_ : ndarray of shape (n_groups,)
        Names of the machines that have a detector of their own, in the order in which
        they came up in `fit`.

    detectors_ : dict
        Their fitted detectors, by name.

    fallback_ : estimator
        The fitted fallback. Present unless there is none.

    fallback_groups_ : ndarray
        Names of the machines that were seen in `fit` and left to the fallback.

    errors_ : dict
        Why machines could not be fitted, by name, with ``on_error='warn'``.

    n_features_in_ : int
        Number of channels.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the channels, without `by`, in the order in which detectors get them.

    See Also
    --------
    tsanomaly.datasets.insert_breaks : Several series for one detector.

    Notes
    -----
    Rows of a machine are to be in time order; those of several machines may alternate.
    Detectors get frames with the index of their rows, so that calendar features work.

    A fleet is no estimator for a pipeline: the column of names would have to pass
    through it. ``fleet.detectors_[name]`` is an ordinary fitted detector, which
    :func:`~tsanomaly.explain` explains and :class:`StreamingDetector` takes.

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

    # What works on the series of one machine refuses a fleet by this.
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
        """Fit a detector for every machine, and the fallback.

        Parameters
        ----------
        X : DataFrame of shape (n_timestamps, n_channels + 1)
            Readings of all machines, with the column `by`. Those of each machine in
            time order.
        y : array-like of shape (n_timestamps,) or None, default=None
            Labels, passed on to the detectors with the rows they belong to.

        Returns
        -------
        self : FleetDetector
            The fitted fleet. If an error is raised, or `fit` interrupted, it is as it
            was before.

        Raises
        ------
        TypeError
            If `X` is no DataFrame.
        ValueError
            If a parameter is out of range, or `X` has no rows, no channels, not exactly
            one column `by`, or rows without a name in it.
        RuntimeError
            If machines could not be fitted, with ``on_error='raise'``, or none could.
        ImportError
            If `verbose` is set and tqdm is not installed.
        """
        self._fit(X, y, with_labels=False)
        return self

    @_fit_context(prefer_skip_nested_validation=False)
    def fit_predict(self, X, y=None):
        """Fit, and label the training rows.

        Parameters
        ----------
        X : DataFrame of shape (n_timestamps, n_channels + 1)
            As in `fit`.
        y : array-like of shape (n_timestamps,) or None, default=None
            As in `fit`.

        Returns
        -------
        labels : ndarray of shape (n_timestamps,)
            As from ``fit(X, y).predict(X)``, where a detector's own `fit_predict` may
            save a second run.
        """
        return self._fit(X, y, with_labels=True)

    def _fit_cross_fitted(self, X, y, n_blocks):
        """Fit, with thresholds set on errors of rows that were not learned from."""
        self._validate_params()
        self._fit(X, y, with_labels=False, n_blocks=n_blocks)
        return self

    def _fit(self, X, y, *, with_labels, n_blocks=None):
        frame, names, rows = self._split(X)
        if not frame.shape[1]:
            raise ValueError(f"X has no column but {self.by!r}, and so no channels.")
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
                    # What broke a machine's own detector may be what broke this one.
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
        """Score of each row, by the detector of its machine.

        Scores of different machines are comparable only if the detectors put them on
        a common scale, as :class:`HybridDetector` and the default rule of
        :class:`LSTMAutoencoderDetector` do.

        Parameters
        ----------
        X : DataFrame of shape (n_timestamps, n_channels + 1)
            Rows of any machines, those of each in time order. Columns go by name, in
            any order.

        Returns
        -------
        scores : ndarray of shape (n_timestamps,)
            In the order of the rows: the lower, the more abnormal. NaN at breaks.

        Raises
        ------
        TypeError
            If `X` is no DataFrame.
        ValueError
            If columns are missing or unknown, rows have no name in the column `by`, or
            the names are of another kind than in `fit`.
        RuntimeError
            If machines could not be scored, with ``on_error='raise'``.
        """
        return self._apply("score_samples", X, np.nan)

    @available_if(lambda self: hasattr(self.detector, "decision_function"))
    def decision_function(self, X):
        """Score of each row, relative to the threshold of its machine.

        Parameters
        ----------
        X : DataFrame of shape (n_timestamps, n_channels + 1)
            As in `score_samples`.

        Returns
        -------
        decision : ndarray of shape (n_timestamps,)
            Negative for anomalies, NaN at breaks.
        """
        return self._apply("decision_function", X, np.nan)

    def predict(self, X):
        """Label each row.

        Parameters
        ----------
        X : DataFrame of shape (n_timestamps, n_channels + 1)
            As in `score_samples`.

        Returns
        -------
        labels : ndarray of shape (n_timestamps,)
            -1 for anomalies, +1 for normal rows and breaks.
        """
        return self._apply("predict", X, 1)

    @available_if(lambda self: hasattr(self.detector, "transform"))
    def transform(self, X):
        """Return the errors of each row, by the detector of its machine.

        Parameters
        ----------
        X : DataFrame of shape (n_timestamps, n_channels + 1)
            As in `score_samples`.

        Returns
        -------
        errors : ndarray of shape (n_timestamps, n_columns)
            What the `transform` of the detectors returns, in the order of the rows.
        """
        return self._apply("transform", X, np.nan)

    @property
    def detectors_(self):
        """Fitted detectors, by the name of the machine.

        Returns
        -------
        detectors : dict
            Without the fallback.
        """
        self._check_fitted("detectors_")
        return dict(zip(_labels(self.groups_), self._models, strict=True))

    @property
    def errors_(self):
        """Why machines could not be fitted, by name.

        Returns
        -------
        errors : dict of str
            Empty if all went well.
        """
        self._check_fitted("errors_")
        named = zip(_labels(self.fallback_groups_), self._messages, strict=True)
        return {name: message for name, message in named if message}

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        # A frame with a column of names, which is no array of numbers.
        tags.input_tags.two_d_array = False
        tags.input_tags.string = True
        inner = get_tags(self.detector)
        tags.input_tags.allow_nan = inner.input_tags.allow_nan
        tags.target_tags.required = inner.target_tags.required
        return tags

    def _check_fitted(self, name):
        if not hasattr(self, "groups_"):
            raise AttributeError(
                f"This {type(self).__name__} has no {name} before fit."
            )

    def _apply(self, method, X, missing):
        """Run a method of the detectors, and put the results in the order of the rows.

        Parameters
        ----------
        method : str
            The method.
        X : DataFrame
            What the user passed.
        missing : float or int
            Stands for results of machines that failed.
        """
        check_is_fitted(self)
        frame, names, rows = self._split(X)
        frame = self._in_order(frame)
        position = self._positions(names)
        fallback = getattr(self, "fallback_", None)
        models = [fallback if p < 0 else self._models[p] for p in position]
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
                f"{method} of the detectors gives unlike numbers of columns: "
                f"{', '.join(widths)}. Use a step with a fixed number, for example "
                "PCA(8) instead of PCA(0.9), or the detectors of detectors_."
            )
        shape = next(iter(shapes)) if shapes else ()
        dtype = np.intp if method == "predict" else np.float64
        merged = np.full((len(frame), *shape), missing, dtype=dtype)
        for (values, failure), r in zip(results, rows, strict=True):
            if failure is None:
                merged[r] = values
        return merged

    def _run(self, tasks):
        """Results of tasks, in their order."""
        tasks = list(tasks)
        with showing_bars(self.verbose, f"verbose={self.verbose}"):
            if not anybody_listens():
                return Parallel(n_jobs=self.n_jobs)(tasks)
            # Who listens has to hear of results as they come in.
            results = Parallel(n_jobs=self.n_jobs, return_as="generator")(tasks)
            with closing(results), counting(len(tasks), "models") as tell_done:
                collected = []
                for result in results:
                    collected.append(result)
                    tell_done(len(collected))
                return collected

    def _report(self, failures, n_groups, what, *, stacklevel):
        """Raise or warn, where a method is called, if machines failed."""
        if not failures:
            return
        text = f"{len(failures)} of {n_groups} machines could not be {what}: "
        if "the fallback" in failures:
            text = "Some models could not be fitted: "
        text += _list(failures) + "."
        if self.on_error == "warn":
            warnings.warn(text, UserWarning, stacklevel=stacklevel)
            return
        error = RuntimeError(
            f"{text} Correct or leave out their rows, or set on_error='warn' to go on "
            "without them."
        )
        first = next(iter(failures.values()))
        if first.trace:
            error.add_note(f"The first of them:\n{first.trace}")
        raise error

    def _split(self, X):
        """The channels, the names of the machines, and the rows of each."""
        import pandas as pd

        if not isinstance(X, pd.DataFrame):
            raise TypeError(
                f"X must be a DataFrame with the column {self.by!r} that says which "
                f"row belongs to which machine, got {type(X).__name__}."
            )
        found = np.flatnonzero([label == self.by for label in X.columns])
        if len(found) != 1:
            raise ValueError(
                f"X must have one column {self.by!r}, which says which row belongs to "
                f"which machine, got {len(found)}; its columns are {list(X.columns)}. "
                "Name the column in by."
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
                f"Column {self.by!r} lacks the machine of {len(missing):,} rows, first "
                f"at row {missing[0]}. Fill it in, or drop these rows."
            )
        codes, names = pd.factorize(labels)
        order = np.argsort(codes, kind="stable")
        ends = np.cumsum(np.bincount(codes))[:-1]
        frame = X.iloc[:, np.arange(X.shape[1]) != found[0]]
        # Plain numpy, whatever pandas keeps the column in.
        names = pd.Index(np.asarray(names, dtype=object)).infer_objects().to_numpy()
        rows = np.split(order, ends)
        warn_if_unordered(frame, self, groups=rows)
        return frame, names, rows

    def _in_order(self, frame):
        """The channels, in the order of `fit`."""
        expected = list(self.feature_names_in_)
        given = list(frame.columns)
        if given == expected:
            return frame
        if sorted(map(repr, given)) != sorted(map(repr, expected)):
            missing = [name for name in expected if name not in given]
            unknown = [name for name in given if name not in expected]
            raise ValueError(
                "The columns of X are not those of fit: missing "
                f"{missing[:_MOST_NAMED]}, unknown {unknown[:_MOST_NAMED]}. Pass every "
                f"channel once, and the column {self.by!r}."
            )
        return frame[expected]

    def _positions(self, names):
        """Which of the detectors is for which name, -1 for the fallback."""
        import pandas as pd

        seen = np.concatenate(
            [np.asarray(g, object) for g in (self.groups_, self.fallback_groups_)]
        )
        kind = {isinstance(name, str) for name in seen}
        given = {isinstance(name, str) for name in names}
        if not kind & given:
            raise ValueError(
                f"The names of machines in column {self.by!r} are of another kind than "
                f"in fit: {names[:1].tolist()[0]!r} now, {seen[0]!r} then. Convert the "
                "column, for example with astype."
            )
        return pd.Index(self.groups_).get_indexer(pd.Index(names))


def _labels(names):
    """Names as keys; times stay times."""
    import pandas as pd

    return pd.Index(names).tolist()


def _describe(by, name):
    return f"{by}={name}"


def _list(failures):
    """The first failures, in words."""
    texts = [f"{name} ({f.text})" for name, f in list(failures.items())[:_MOST_NAMED]]
    more = len(failures) - len(texts)
    return ", ".join(texts) + (f" and {more} more" if more else "")
