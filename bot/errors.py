"""What keeps a run from going on, and how to find it in a group of errors."""


class StoreFailed(Exception):
    """The run database could not do what was asked. The message is one sentence with what to do; nothing was done."""


class StoreUnusable(StoreFailed):
    """The run database cannot be opened as it is."""


class PutOff(Exception):
    """The run ends here for now and is taken up again later: it stays under way in the database."""


class Disowned(PutOff):
    """Another process carries the run out now: this one is to say nothing more in its name."""


def sole(error: BaseException) -> BaseException:
    """The exception that groups were made around. Of several, one that is no `Exception`, as an engine's own are not,
    or else one that puts the run off, or else the first."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    inner = [sole(each) for each in error.exceptions]
    base = [each for each in inner if not isinstance(each, Exception)]
    ours = [each for each in inner if isinstance(each, PutOff | StoreFailed)]
    return (base or ours or inner)[0]
