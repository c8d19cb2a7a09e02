# SPDX-License-Identifier: MIT
"""The default ensemble."""

from sklearn.base import clone

from tsanomaly._autoencoder import LSTMAutoencoderDetector
from tsanomaly._autoregressive_detector import AutoregressiveDetector
from tsanomaly._ensemble import EnsembleDetector
from tsanomaly._inspection import check_detector
from tsanomaly._validation import draw_seed
from tsanomaly._window_neighbors import WindowNeighborsDetector

__all__ = ["make_ensemble"]

# Weights of the detectors. That of the network, which combines several views, has the
# same weight as the other two together.
_WEIGHTS = {"network": 3.0, "autoregression": 1.0, "neighbors": 2.0}


def make_ensemble(detector=None, *, random_state=None):
    """Make the default ensemble: a network, forecasts and nearest windows.

    No single detector is best on all machines. These three take different views of a
    series, and the average of their errors on a common scale is seldom far behind the
    best of them.

    Parameters
    ----------
    detector : estimator, 'drop' or None, default=None
        Outlier detector to use in place of the network, which is cloned. None is
        :class:`LSTMAutoencoderDetector` with default parameters. With
        ``LinearAutoencoderDetector()``, the ensemble needs no Keras, and has the same
        scores where the network does not count. 'drop' leaves the network out and takes
        a tenth of the time.

    random_state : int, RandomState instance or None, default=None
        Controls the randomness of the default detectors. One seed is drawn here, so
        clones and repeated fits of the ensemble give the same results. A `detector`
        that you pass keeps its own `random_state`.

    Returns
    -------
    ensemble : EnsembleDetector
        Unfitted ensemble of 'network', 'autoregression'
        (:class:`AutoregressiveDetector`) and 'neighbors'
        (:class:`WindowNeighborsDetector`), with weights 3, 1 and 2. Put a scaler before
        it.

    Raises
    ------
    ValueError
        If `detector` is not an estimator that scores rows.

    See Also
    --------
    EnsembleDetector : Average the errors of any detectors.
    HybridDetector : Use a cheap detector to select rows for an expensive one.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from tsanomaly import make_ensemble
    >>> X = np.random.default_rng(0).normal(size=(300, 2))
    >>> ensemble = make_pipeline(StandardScaler(), make_ensemble("drop")).fit(X)
    >>> X[200] = 9.0
    >>> int(ensemble.predict(X)[200])
    -1
    """
    seed = draw_seed(random_state)
    members = {
        "network": detector,
        "autoregression": AutoregressiveDetector(random_state=seed),
        "neighbors": WindowNeighborsDetector(random_state=seed),
    }
    if detector is None:
        members["network"] = LSTMAutoencoderDetector(random_state=seed)
    elif isinstance(detector, str) and detector == "drop":
        del members["network"]
    else:
        if isinstance(detector, (str, type)) or not hasattr(detector, "fit"):
            raise ValueError(
                "detector must be an outlier detector, 'drop' or None, got "
                f"{detector!r}."
            )
        check_detector(detector, "detector")
        members["network"] = clone(detector)
    weights = [_WEIGHTS[name] for name in members]
    return EnsembleDetector(list(members.items()), weights=weights)
