"""From the probabilities of overlapping windows to what was heard when."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import groupby

import numpy as np
import numpy.typing as npt

Probabilities = npt.NDArray[np.float32]
Spans = npt.NDArray[np.float64]
Classes = list[tuple[str, float]]


@dataclass(frozen=True)
class Event:
    """One class, heard without a break.

    Attributes:
        start: In seconds.
        end: In seconds.
        name: The class.
        probability: Its mean over the event's windows.
        peak: Its largest.
        windows: How many there are.
    """

    start: float
    end: float
    name: str
    probability: float
    peak: float
    windows: int


@dataclass(frozen=True)
class Timeline:
    """What a model says of every window of a recording.

    Attributes:
        labels: Class names.
        windows: Start and end of each window, in seconds, float64 [windows, 2].
        probabilities: float32 [windows, classes].
        thresholds: Where a recording may be of several classes at once, the least probability of each.
    """

    labels: list[str] = field(default_factory=list)
    windows: Spans = field(default_factory=lambda: np.zeros((0, 2)))
    probabilities: Probabilities = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    thresholds: list[float] | None = None

    @property
    def seconds(self) -> float:
        """How long the recording is."""
        return float(self.windows[-1, 1])

    def best(self, top_k: int, window: int | None = None) -> Classes:
        """The most probable classes of one window, or on average over all."""
        values = self.probabilities.mean(axis=0) if window is None else self.probabilities[window]
        order = np.argsort(-values, kind="stable")[:top_k]
        return [(self.labels[i], float(values[i])) for i in order]

    def edges(self) -> Spans:
        """Where one window's say ends and the next one's begins: half-way between their centres.

        Each window speaks for the time that is nearer to its centre than to any other: windows overlap, but
        what is said of the recording does not.

        Returns:
            The recording's start, the edges between neighbouring windows, and its end, in seconds, float64
            [windows + 1].
        """
        centres = self.windows.mean(axis=1)
        return np.concatenate(([0.0], (centres[:-1] + centres[1:]) / 2, [self.seconds]))

    def events(self, threshold: float) -> list[Event]:
        """Neighbouring windows with the same most probable class, at least `threshold`, as one event.

        A clip of a single window is one event with its most probable class, however probable. With
        `thresholds` each class has events of its own: neighbouring windows in which it reaches its threshold.
        """
        if self.thresholds is not None:
            return self._of_each_class(self.thresholds)
        best, edges = self.probabilities.argmax(axis=1), self.edges()
        sure = self.probabilities.max(axis=1) >= threshold
        if len(self.windows) == 1:
            sure[:] = True
        found = []
        for (label, heard), group in groupby(range(len(best)), key=lambda i: (int(best[i]), bool(sure[i]))):
            if heard:
                found.append(self._event(label, list(group), edges))
        return found

    def _of_each_class(self, thresholds: list[float]) -> list[Event]:
        """By their starts; of those that start together the most probable first."""
        edges, found = self.edges(), list[Event]()
        for label, threshold in enumerate(thresholds):
            heard = self.probabilities[:, label] >= threshold
            for is_heard, group in groupby(range(len(heard)), key=lambda i: bool(heard[i])):
                if is_heard:
                    found.append(self._event(label, list(group), edges))
        return sorted(found, key=lambda event: (event.start, -event.probability))

    def _event(self, label: int, rows: list[int], edges: Spans) -> Event:
        values = self.probabilities[rows, label]
        span = float(edges[rows[0]]), float(edges[rows[-1] + 1])
        return Event(*span, self.labels[label], float(values.mean()), float(values.max()), len(rows))


def clock(seconds: float) -> str:
    """A time as minutes and seconds, 1:02.5; from an hour on, 1:01:02.5."""
    tenths = round(seconds * 10)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest / 10:04.1f}" if hours else f"{minutes}:{rest / 10:04.1f}"
