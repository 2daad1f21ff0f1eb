"""The one exception that stands for a user's mistake."""


class UserError(Exception):
    """Something the user can put right; its message says what is wrong, where, and what to do.

    The command line prints the message alone, without a traceback, and exits with code 2.
    """
