"""How long verbs speak to the people who wait for them."""

from typing import Protocol


class Report(Protocol):
    """Carries progress out and the wish to stop in.

    Long verbs call it often; a report that costs anything throttles itself.
    """

    def __call__(self, fraction: float, message: str) -> None:
        """Tell how far the work is.

        Parameters
        ----------
        fraction
            Part of the work that is done, in [0, 1].
        message
            What is being done, a few words.

        Raises
        ------
        StoppedError
            If somebody asked the work to stop.
        """
        ...


def silent(fraction: float, message: str) -> None:
    """Report to nobody and never stop."""
