"""The errors that a person reads: what was found, what was expected and what to do."""

from __future__ import annotations


class AnchorlineError(Exception):
    """Something that the person at the keyboard can put right.

    The message is the whole story in one or two sentences: what was found, what was
    expected, what to do. The command line prints it, the chain of its causes after it,
    and exits with 1; a traceback is shown only with ``--verbose``. Raise it ``from`` the
    technical error, so that the cause is printed too.

    ``details`` are lines that help to understand it (the tail of a log, say); they are
    printed below the message.
    """

    def __init__(self, message: str, *, details: str | None = None) -> None:
        super().__init__(message)
        self.details = details
        if details:
            self.add_note(details)  # a traceback shows it too


def causes(error: BaseException) -> list[str]:
    """Name the causes of an error, nearest first, each as one piece of text.

    A cause that only repeats what was said above it is left out.
    """
    lines: list[str] = []
    said = str(error)
    seen = {id(error)}
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        text = str(cause).strip() or type(cause).__name__
        if text not in said:
            lines.append(text)
            said += text
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return lines
