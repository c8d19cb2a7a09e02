# SPDX-License-Identifier: MIT
"""Models of a fleet as files within its file, read on first use."""

from collections.abc import Sequence

from tsanomaly._saving._archive import ModelFileError, damage, read_part

__all__ = ["Parts", "SavedModels"]


class Parts:
    """Files within a file, which are read one at a time.

    Parameters
    ----------
    members : list of Part
        Positions of the files, as from `read_members`.
    opening : callable
        Opens the file. It is not kept open, so that others may replace or delete it.
    source : str
        Name of the file in messages.
    """

    def __init__(self, members, opening, source):
        self._members = members
        self._opening = opening
        self._source = source
        self.names = [f"model {number}" for number in range(len(members))]

    def __len__(self):
        return len(self._members)

    def source(self, number):
        """Return the name of a part in messages."""
        return f"{self._source} ({self.names[number]})"

    def read(self, number):
        """Return the contents of a part, as bytes."""
        source = self.source(number)
        with damage(source, "it differs from what was stated when the file was opened"):
            try:
                with self._opening() as file:
                    return read_part(file, self._members[number])
            except OSError as error:
                reason = error
        raise ModelFileError(
            f"{source} cannot be read any more: {reason}. Load the fleet again, "
            "without lazy=True if the file does not stay where it is."
        ) from reason


class SavedModels(Sequence):
    """Models that are read when they are first used, and then kept.

    Deep copies and pickles are lists of all models.

    Parameters
    ----------
    parts : Parts
        The files of the models.
    make : callable
        Makes the model of a part, given its number.
    """

    def __init__(self, parts, make):
        self._parts = parts
        self._make = make
        self._made = {}

    def __len__(self):
        return len(self._parts)

    def __getitem__(self, number):
        position = range(len(self))[number]
        if position not in self._made:
            # If two threads read it, keep the model of the first one to finish.
            self._made.setdefault(position, self._make(position))
        return self._made[position]

    def __reduce__(self):
        return list, (list(self),)
