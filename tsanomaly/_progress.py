# SPDX-License-Identifier: MIT
"""Progress bars."""

__all__ = ["with_progress"]


def with_progress(items, n_items, unit, shown, parameter):
    """Show how many of some items are through, on the standard error stream.

    Parameters
    ----------
    items : iterable
        What to go through.
    n_items : int
        How many there are.
    unit : str
        What one of them is called.
    shown : bool
        False gives back `items` as they are.
    parameter : str
        What the user asked for, to name in the message of an error.

    Returns
    -------
    items : iterable
        The same items.

    Raises
    ------
    ImportError
        If tqdm is not installed.
    """
    if not shown:
        return items
    try:
        from tqdm import tqdm
    except ImportError as error:
        raise ImportError(
            f"{parameter} needs tqdm, which is not installed. Run 'pip install tqdm'."
        ) from error
    return tqdm(items, total=n_items, unit=unit)
