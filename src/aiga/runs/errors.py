"""What a run says when it cannot: each error is something a person can put right, its message one line."""


class RunError(Exception):
    """Something a person can put right. The message is one line."""


class Damaged(RunError):
    """What is stored is not what was written. The message names the row."""


class Unwritable(RunError):
    """The store is full or refuses: the run is as its last commit left it."""


class Lost(Unwritable):
    """The connection to the store is gone. Whether the commit in flight was made is known to the store alone;
    a run that is resumed goes on from whichever was the last."""
