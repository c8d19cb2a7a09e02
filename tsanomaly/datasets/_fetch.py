# SPDX-License-Identifier: MIT
import json
import time
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

from tsanomaly.datasets._nab import read_nab
from tsanomaly.datasets._packaged import DATA
from tsanomaly.datasets._skab import full_name, load_skab
from tsanomaly.datasets._smd import load_smd

__all__ = ["fetch_nab", "fetch_skab", "fetch_smd"]

_GITHUB = "https://raw.githubusercontent.com"

# Full hashes of revisions, which cannot change.
_BASE_URLS = {
    "nab": f"{_GITHUB}/numenta/NAB/ea702d75cc2258d9d7dd35ca8e5e2539d71f3140",
    "skab": f"{_GITHUB}/waico/SKAB/b2c0d46c2971dcbfe71e26087b6d231998bb91c2/data",
    "smd": (
        f"{_GITHUB}/NetManAIOps/OmniAnomaly/7fb0e0acf89ea49908896bcc9f9e80fcfff6baf4"
        "/ServerMachineDataset"
    ),
}

_PAGES = {
    "nab": "https://github.com/numenta/NAB",
    "skab": "https://github.com/waico/SKAB",
    "smd": "https://github.com/NetManAIOps/OmniAnomaly",
}

_FILES = {
    "nab": ("data/{}.csv",),
    "skab": ("{}.csv",),
    "smd": (
        "train/{}.txt",
        "test/{}.txt",
        "test_label/{}.txt",
        "interpretation_label/{}.txt",
    ),
}

# Seconds before the first retry. The pause doubles with each retry.
_BACKOFF = 1.0


def fetch_nab(
    name="realAWSCloudwatch/ec2_cpu_utilization_24ae8d",
    *,
    data_home=None,
    download_if_missing=True,
    n_retries=3,
    timeout=30.0,
    progress=False,
):
    """Download and load a series of the Numenta Anomaly Benchmark.

    The benchmark [1]_ has the MIT licence. A pinned revision is downloaded and verified
    by its SHA-256 checksum. Requires pooch, which the extra ``data`` installs.

    Parameters
    ----------
    name : str, default='realAWSCloudwatch/ec2_cpu_utilization_24ae8d'
        Category and name of one of the 17 series in ``realAWSCloudwatch``.
    data_home : str, Path or None, default=None
        Folder for downloads, in which the series is stored under ``nab/data``. None is
        the user's cache folder. Existing files that differ from the pinned revision are
        replaced. The labels are part of this package.
    download_if_missing : bool, default=True
        Whether to download missing files. If False, a missing file raises an error.
    n_retries : int, default=3
        Number of retries after a temporary failure, with increasing pauses.
    timeout : float, default=30.0
        Timeout in seconds for connecting to the server and for each response.
    progress : bool, default=False
        Whether to show a progress bar for each file on stderr. Requires tqdm.

    Returns
    -------
    data : Bunch
        Series and labels, as from :func:`load_nab`.

    Raises
    ------
    ImportError
        If pooch is not installed, or tqdm with ``progress=True``.
    ValueError
        If the checksums of the series are unknown.
    OSError
        If the download fails, or is required with ``download_if_missing=False``.
        Incomplete or corrupt files are never left behind.

    See Also
    --------
    load_nab : Load a series from a file.

    References
    ----------
    .. [1] A. Lavin, S. Ahmad. "Evaluating Real-time Anomaly Detection Algorithms -
           the Numenta Anomaly Benchmark." ICMLA 2015.
           https://arxiv.org/abs/1510.03336

    Examples
    --------
    >>> from tsanomaly.datasets import fetch_nab
    >>> data = fetch_nab("realAWSCloudwatch/grok_asg_anomaly")  # doctest: +SKIP
    >>> data.frame.shape, len(data.events)  # doctest: +SKIP
    ((4621, 1), 3)
    """
    root = _fetch(
        "nab", name, data_home, download_if_missing, n_retries, timeout, progress
    )
    # The labels in the package cover exactly the series that can be fetched. Writing
    # them next to the series could replace complete labels of the user.
    labels = DATA / "nab" / "labels" / "combined_windows.json"
    return read_nab(name, root / "data" / f"{name}.csv", labels)


def fetch_skab(
    name="valve1/0",
    *,
    data_home=None,
    download_if_missing=True,
    n_retries=3,
    timeout=30.0,
    progress=False,
):
    """Download and load an experiment of the Skoltech Anomaly Benchmark.

    The benchmark [1]_ has the GPL-3.0 licence. A pinned revision is downloaded and
    verified by its SHA-256 checksum. Requires pooch, which the extra ``data`` installs.

    Parameters
    ----------
    name : str, default='valve1/0'
        Folder and number of one of the 16 experiments in ``valve1``, or 'anomaly-free'
        for the normal run.
    data_home : str, Path or None, default=None
        Folder for downloads, in which the experiment is stored under ``skab`` in the
        layout of the source. None is the user's cache folder. Existing files that
        differ from the pinned revision are replaced.
    download_if_missing : bool, default=True
        Whether to download missing files. If False, a missing file raises an error.
    n_retries : int, default=3
        Number of retries after a temporary failure, with increasing pauses.
    timeout : float, default=30.0
        Timeout in seconds for connecting to the server and for each response.
    progress : bool, default=False
        Whether to show a progress bar for each file on stderr. Requires tqdm.

    Returns
    -------
    data : Bunch
        Series and labels, as from :func:`load_skab`.

    Raises
    ------
    ImportError
        If pooch is not installed, or tqdm with ``progress=True``.
    ValueError
        If the checksums of the experiment are unknown.
    OSError
        If the download fails, or is required with ``download_if_missing=False``.
        Incomplete or corrupt files are never left behind.

    See Also
    --------
    load_skab : Load an experiment from a file.

    References
    ----------
    .. [1] I. D. Katser, V. O. Kozitsin. "Skoltech Anomaly Benchmark (SKAB)." 2020.
           https://doi.org/10.34740/KAGGLE/DSV/1693952

    Examples
    --------
    >>> from tsanomaly.datasets import fetch_skab
    >>> data = fetch_skab("valve1/0")  # doctest: +SKIP
    >>> data.frame.shape, int(data.target.sum()), len(data.events)  # doctest: +SKIP
    ((1147, 8), 401, 1)
    """
    name = full_name(name)
    root = _fetch(
        "skab", name, data_home, download_if_missing, n_retries, timeout, progress
    )
    return load_skab(name, path=root)


def fetch_smd(
    name="machine-2-1",
    *,
    data_home=None,
    download_if_missing=True,
    n_retries=3,
    timeout=30.0,
    progress=False,
):
    """Download and load a machine of the Server Machine Dataset.

    The data set [1]_ has the MIT licence. A pinned revision is downloaded and verified
    by its SHA-256 checksums. Requires pooch, which the extra ``data`` installs.

    Parameters
    ----------
    name : str, default='machine-2-1'
        Name of the machine: 'machine-1-6', 'machine-1-7' or 'machine-2-1'. The size of
        each is 16 MB.
    data_home : str, Path or None, default=None
        Folder for downloads, in which the machine is stored under ``smd`` in the layout
        of the source. None is the user's cache folder. Existing files that differ from
        the pinned revision are replaced.
    download_if_missing : bool, default=True
        Whether to download missing files. If False, a missing file raises an error.
    n_retries : int, default=3
        Number of retries after a temporary failure, with increasing pauses.
    timeout : float, default=30.0
        Timeout in seconds for connecting to the server and for each response.
    progress : bool, default=False
        Whether to show a progress bar for each file on stderr. Requires tqdm.

    Returns
    -------
    data : Bunch
        Series and labels, as from :func:`load_smd`.

    Raises
    ------
    ImportError
        If pooch is not installed, or tqdm with ``progress=True``.
    ValueError
        If the checksums of the machine are unknown.
    OSError
        If a download fails, or is required with ``download_if_missing=False``.
        Incomplete or corrupt files are never left behind. Complete files are kept.

    See Also
    --------
    load_smd : Load a machine from files.

    References
    ----------
    .. [1] Y. Su, Y. Zhao, C. Niu, R. Liu, W. Sun, D. Pei. "Robust Anomaly Detection
           for Multivariate Time Series through Stochastic Recurrent Neural Network."
           KDD 2019. https://doi.org/10.1145/3292500.3330672

    Examples
    --------
    >>> from tsanomaly.datasets import fetch_smd
    >>> data = fetch_smd("machine-1-6")  # doctest: +SKIP
    >>> data.frame.shape, len(data.events)  # doctest: +SKIP
    ((47377, 38), 30)
    """
    root = _fetch(
        "smd", name, data_home, download_if_missing, n_retries, timeout, progress
    )
    return load_smd(name, path=root)


def _fetch(dataset, name, data_home, download_if_missing, n_retries, timeout, progress):
    """Return the root folder with verified files of a series."""
    pooch = _import("pooch")
    if progress:
        _import("tqdm")
    if n_retries < 0 or timeout <= 0:
        raise ValueError(
            "n_retries must be at least 0 and timeout positive (in seconds), got "
            f"n_retries={n_retries} and timeout={timeout}."
        )
    checksums = _checksums()[dataset]
    before, after = _FILES[dataset][0].split("{}")
    known = [
        file.removeprefix(before).removesuffix(after)
        for file in checksums
        if file.startswith(before)
    ]
    cure = f"by hand from {_PAGES[dataset]} and read with load_{dataset}(name, path=)"
    if name not in known:
        raise ValueError(
            f"{name!r} is not among the series with known checksums: {known}. "
            f"Others can be downloaded {cure}."
        )
    home = pooch.os_cache("tsanomaly") if data_home is None else Path(data_home)
    root = home.expanduser() / dataset
    for template in _FILES[dataset]:
        relative = template.format(name)
        file, checksum = root / relative, checksums[relative]
        if file.is_file() and pooch.file_hash(str(file)) == checksum:
            continue
        if not download_if_missing:
            raise OSError(
                f"{str(file)!r} is missing or differs from the pinned revision, and "
                "download_if_missing=False. Set it to True, or data_home= to the "
                "folder of an earlier download."
            )
        url = f"{_BASE_URLS[dataset]}/{relative}"
        download = pooch.HTTPDownloader(timeout=timeout, progressbar=bool(progress))
        _install(url, root, file, checksum, download, n_retries, cure)
    return root


class _WrongChecksumError(ValueError):
    """The downloaded data is not the expected file."""


def _install(url, root, file, checksum, download, n_retries, cure):
    """Download a file, and move it into place if its checksum is right."""
    from requests.exceptions import RequestException

    for attempt in range(n_retries + 1):
        if attempt:
            time.sleep(_BACKOFF * 2 ** (attempt - 1))
        try:
            _download_once(url, root, file, checksum, download)
            return
        except (RequestException, _WrongChecksumError) as error:
            failure = error
            if not _may_pass(error):
                break
        except OSError as error:  # local error, not of the network
            raise OSError(
                error.errno,
                f"{file} cannot be written: {error.strerror}. Free disk space, or pass "
                "a writable folder as data_home=",
            ) from error
    advice = (
        "Try again later; the data set can also"
        if _may_pass(failure)
        else ("The data set can")
    )
    raise OSError(
        f"{url} could not be downloaded in {attempt + 1} attempt(s): "
        f"{_explain(failure)}. {advice} be downloaded {cure}."
    ) from failure


def _download_once(url, root, file, checksum, download):
    """Download to a temporary folder, then move, so that files are never partial."""
    from pooch import file_hash

    root.mkdir(parents=True, exist_ok=True)
    # pooch.retrieve does the same, but prints to stderr.
    with TemporaryDirectory(prefix=".download-", dir=root) as folder:
        part = Path(folder) / file.name
        download(url, str(part), None)
        arrived = file_hash(str(part))
        if arrived != checksum:
            raise _WrongChecksumError(
                f"the {part.stat().st_size} bytes received have the wrong SHA-256 "
                f"checksum, {arrived} instead of {checksum}: the file is truncated or "
                "not that of the pinned revision"
            )
        file.parent.mkdir(parents=True, exist_ok=True)
        part.replace(file)


def _may_pass(error):
    """Whether a retry may succeed, unless the server rejects the request."""
    response = getattr(error, "response", None)
    refused = response is not None and 400 <= response.status_code < 500
    return not refused or response.status_code in (408, 429)


def _explain(error):
    from requests.exceptions import ConnectionError, HTTPError, Timeout

    if isinstance(error, HTTPError):
        response = error.response
        return f"the server answered {response.status_code} {response.reason}"
    if isinstance(error, Timeout) or "timed out" in str(error):
        return f"the server did not answer in time ({error})"
    if isinstance(error, ConnectionError):
        return f"there is no connection to the server ({error})"
    return str(error)


def _checksums():
    """Return the SHA-256 checksums of the pinned revisions, by data set and path."""
    return json.loads((DATA / "checksums.json").read_text(encoding="utf-8"))


def _import(package):
    try:
        return import_module(package)
    except ImportError as error:
        raise ImportError(
            f"Downloading data requires {package}, which is not installed. Run "
            f"'pip install {package}'."
        ) from error
