"""Where frames landed over time, as a small inline SVG: pairs upwards, time to the right, the active pairs a line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, starmap
from math import ceil, floor, log10
from typing import Literal

import svg

from harness.record.results import Event

_INK = "currentColor"
_INSIDE, _OUTSIDE, _HOST = "#4c8dd6", "#e5484d", "#a06a00"
"""Legible on white and on black."""
WIDTH, LEFT, RIGHT, TOP, BOTTOM = 672, 48, 12, 12, 44
"""Pixels: the whole width, and the margins around the axes."""
ROW, LEGIBLE, TALLEST = 27, 12, 800
"""Pixels for each pair, at most; for a line of text; and for all pairs."""
LABELS = 32
"""Pairs that are named beside the axis, at most."""
CROWDED = 8
"""Batches beyond which their numbers would cover each other."""
ROOM = 62
"""Pixels that a label of a line takes; one that would cover the last is left out."""


@dataclass(frozen=True)
class Scale:
    """Where a moment and a pair are, in pixels from the upper left corner."""

    begin: float
    end: float
    top: int

    @property
    def row(self) -> float:
        """The height of a pair."""
        return min(ROW, TALLEST / (self.top + 1))

    @property
    def bottom(self) -> float:
        """The height of the lower axis."""
        return TOP + self.row * (self.top + 1.5)

    def x(self, at: float) -> float:
        """A moment's place."""
        room = (self.end - self.begin) or 1e-3
        return round(LEFT + (WIDTH - LEFT - RIGHT) * (0.06 + 0.88 * (at - self.begin) / room), 1)

    def y(self, pair: float) -> float:
        """The middle of a pair's row."""
        return round(self.bottom - self.row * (pair + 0.6), 1)

    def seconds(self) -> Iterator[float]:
        """Round moments, eight at most."""
        room = (self.end - self.begin) or 1e-3
        tenth = 10.0 ** floor(log10(room / 8))
        step = next(tenth * factor for factor in (1, 2, 5, 10) if room / (tenth * factor) <= 8)
        return (step * n for n in range(ceil(self.begin / step), floor(self.end / step + 1e-9) + 1))


def frames_plot(timeline: Sequence[Event]) -> str:
    """An SVG element, or nothing where the timeline has no frames.

    A dot is a batch of frames on a pair, with its number; it is a cross where the guest had been told that the
    pair is inactive. The solid line is above the pairs that the guest was told are active, the dashed one the host's.
    """
    batches = [event for event in timeline if event.pair is not None and event.frames]
    if not batches:
        return ""
    shown = [event.at for event in timeline if event.frames or event.pairs is not None]
    top = max([event.pair or 0 for event in batches] + [(event.pairs or 1) - 1 for event in timeline])
    scale = Scale(min(shown), max(shown), top)
    height = round(scale.bottom + BOTTOM)
    return svg.SVG(
        viewBox=svg.ViewBoxSpec(0, 0, WIDTH, height),
        width=WIDTH,
        height=height,
        elements=[
            *_axes(scale),
            *_line(scale, timeline, "guest", _INK),
            *_line(scale, timeline, "host", _HOST),
            *_dots(scale, batches, timeline),
        ],
        extra={"role": "img", "aria-label": "frames per pair over time", "fill": _INK, "font-size": "11"},
    ).as_str()


def _axes(scale: Scale) -> Iterator[svg.Element]:
    corners = [(LEFT, TOP), (LEFT, scale.bottom), (WIDTH - RIGHT, scale.bottom)]
    yield svg.Polyline(points=list(starmap(svg.Point, corners)), fill="none", stroke=_INK)
    for pair in range(0, scale.top + 1, ceil((scale.top + 1) / LABELS)):
        yield _text(str(pair), LEFT - 6, scale.y(pair) + 4, anchor="end")
    for at in scale.seconds():
        x = scale.x(at)
        yield svg.Line(x1=x, x2=x, y1=scale.bottom, y2=scale.bottom + 4, stroke=_INK)
        yield _text(f"{at:g}", x, scale.bottom + 17, anchor="middle")
    yield _text("seconds", (LEFT + WIDTH - RIGHT) / 2, scale.bottom + 36, anchor="middle")
    x, y = 14, (TOP + scale.bottom) / 2
    yield svg.Text(text="pair", text_anchor="middle", transform=[svg.Translate(x, y), svg.Rotate(-90)])


def _text(
    text: str, x: float, y: float, *, fill: str = _INK, anchor: Literal["start", "middle", "end"] = "start"
) -> svg.Text:
    """`text` goes into the page as it is: numbers and words of ours alone."""
    return svg.Text(text=text, x=round(x, 1), y=round(y, 1), fill=fill, text_anchor=anchor)


def _dots(scale: Scale, batches: Sequence[Event], timeline: Sequence[Event]) -> Iterator[svg.Element]:
    most = max(event.frames or 0 for event in batches)
    crowded = len({event.at for event in batches}) > CROWDED or scale.row < LEGIBLE
    for event in batches:
        pair, frames = event.pair or 0, event.frames or 0
        x, y = scale.x(event.at), scale.y(pair)
        r = round(2.5 + (1.5 if crowded else 3.5) * (frames / most) ** 0.5, 1)
        if pair < (_told(timeline, event.at) or pair + 1):
            yield svg.Circle(cx=x, cy=y, r=r, fill=_INSIDE)
        else:
            strokes: list[svg.PathData] = [
                svg.M(x - r, y - r),
                svg.l(2 * r, 2 * r),
                svg.m(0, -2 * r),
                svg.l(-2 * r, 2 * r),
            ]
            yield svg.Path(d=strokes, stroke=_OUTSIDE, stroke_width=3)
        if not crowded:  # else the sizes must do
            yield _text(str(frames), x + 10, y + 4)


def _told(timeline: Sequence[Event], at: float) -> int | None:
    """The pairs that the guest had been told last are active."""
    counts = [e.pairs for e in timeline if e.source == "guest" and e.pairs is not None and e.at <= at]
    return counts[-1] if counts else None


def _line(scale: Scale, timeline: Sequence[Event], who: str, colour: str) -> Iterator[svg.Element]:
    """The boundary above the active pairs, as a step at each change, labelled where it differs from the last."""
    guest = who == "guest"
    changes = [e for e in timeline if e.pairs is not None and (e.source == "guest") == guest]
    if not changes:
        return
    levels = [scale.y((event.pairs or 0) - (0.5 if guest else 0.42)) for event in changes]
    places = [*(scale.x(event.at) for event in changes), scale.x(scale.end)]
    steps = zip(pairwise(places), levels, strict=True)
    corners = [svg.Point(x, y) for (begin, end), y in steps for x in (begin, end)]
    yield svg.Polyline(points=corners, fill="none", stroke=colour, stroke_dasharray=None if guest else [5, 3])
    labelled = _roomy(scale, changes)
    for event, x, y in zip(changes, places, levels, strict=False):
        if guest:
            yield svg.Line(x1=x, x2=x, y1=TOP, y2=scale.bottom, stroke=colour, opacity=0.25)
        if event in labelled:
            yield _text(f"{who}: {event.pairs}", x + 4, y + (-4 if guest else 12), fill=colour)


def _roomy(scale: Scale, changes: Sequence[Event]) -> list[Event]:
    """The changes whose labels cover no other one: those that last longest first, and no repetitions."""
    steps = [new for old, new in pairwise([None, *changes]) if new and (not old or old.pairs != new.pairs)]
    lasts = [
        later - step.at for step, later in zip(steps, [*(s.at for s in steps[1:]), scale.end], strict=True)
    ]
    chosen: list[Event] = []
    for _, step in sorted(zip(lasts, steps, strict=True), key=lambda pair: -pair[0]):
        if all(abs(scale.x(step.at) - scale.x(other.at)) >= ROOM for other in chosen):
            chosen.append(step)
    return chosen
