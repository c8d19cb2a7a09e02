# SPDX-License-Identifier: MIT
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline

from tsanomaly._autoencoder import LSTMAutoencoderDetector
from tsanomaly._inspection import check_detector
from tsanomaly._reconstruction_error import ReconstructionError
from tsanomaly._score_transformer import ScoreTransformer
from tsanomaly._threshold import ReconstructionThreshold
from tsanomaly._validation import draw_seed
from tsanomaly._window_transformer import WindowTransformer

__all__ = ["make_ensemble"]


def make_ensemble(detector=None, *, random_state=None):
    """Combine a network with three detectors that need none.

    No detector is best on all machines; a mean of several is seldom far from the best.
    This one takes the mean of the normalised scores of PCA on windows of 10 rows, of
    PCA on windows of 50 rows, each with 80 % of the variance, of the local outlier
    factor of windows of 10 rows, and of a detector that counts as much as those three
    together. Normalised scores are logarithms of errors, on the scale of the training
    rows. It takes no breaks (rows that are NaN in every channel), because the local
    outlier factor does not.

    Parameters
    ----------
    detector : estimator, 'drop' or None, default=None
        The fourth detector: any outlier detector whose errors, the opposite of its
        scores, are never negative. It is cloned. None is
        :class:`LSTMAutoencoderDetector` at its defaults, 'drop' leaves it out.

    random_state : int, RandomState instance or None, default=None
        Controls the default detector, not one that is passed, and the two PCA. One
        seed is drawn here: clones of the ensemble and repeated fits give the same.

    Returns
    -------
    ensemble : Pipeline
        Not fitted. The steps are 'levels', a :class:`~sklearn.pipeline.FeatureUnion`
        of :class:`ScoreTransformer`, and 'threshold', a
        :class:`ReconstructionThreshold`: an ordinary pipeline, to be changed, tuned
        and nested as any other. Scale the series before it.

    Raises
    ------
    ValueError
        If `detector` is no estimator that scores rows.

    See Also
    --------
    ScoreTransformer : The normalised score of one detector.
    HybridDetector : A cheap detector that chooses the rows for an expensive one.

    Notes
    -----
    The mean is more robust than the maximum, which one bad member rules. The columns of
    the union are normalised scores multiplied by their weights, 2/3 for each of the
    three and 2 for the detector, so that their mean is the weighted mean.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from tsanomaly import make_ensemble
    >>> X = np.random.default_rng(0).normal(size=(300, 2))
    >>> ensemble = make_pipeline(StandardScaler(), make_ensemble("drop")).fit(X)
    >>> X[100] = 9.0
    >>> int(ensemble.predict(X)[100])
    -1
    """
    seed = draw_seed(random_state)

    def pca(window_size):
        return make_pipeline(
            WindowTransformer(window_size),
            ReconstructionError(PCA(0.8, random_state=seed)),
            ReconstructionThreshold(),
        )

    members = {
        "pca_10": pca(10),
        "pca_50": pca(50),
        "lof_10": make_pipeline(
            WindowTransformer(10), LocalOutlierFactor(novelty=True)
        ),
    }
    weights = None
    if detector is None:
        detector = LSTMAutoencoderDetector(random_state=seed)
    if not isinstance(detector, str) or detector != "drop":
        if isinstance(detector, type) or not hasattr(detector, "fit"):
            raise ValueError(
                "detector must be an outlier detector, 'drop' or None, got "
                f"{detector!r}."
            )
        check_detector(detector, "detector")
        weights = {**dict.fromkeys(members, 2 / 3), "detector": 2.0}
        members["detector"] = clone(detector)
    levels = FeatureUnion(
        [
            (name, ScoreTransformer(member, calibrate="log"))
            for name, member in members.items()
        ],
        transformer_weights=weights,
    )
    return Pipeline([("levels", levels), ("threshold", ReconstructionThreshold())])
