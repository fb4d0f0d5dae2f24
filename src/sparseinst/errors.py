"""The one exception that means "the input is wrong, and here is what to do"."""


class InputError(ValueError):
    """Raised when something the user gave cannot be used.

    The message names the file or setting, says what was expected and what came, and ends with what to do. The command
    line prints it without a traceback; every other exception is a defect of this package and keeps its traceback.
    """
