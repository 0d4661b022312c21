"""Where frames landed over time, as a small inline SVG: pairs upwards, time to the right, the count a line."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.record.results import Event

_INK = "#010203"
"""Stands for the page's text colour, which differs between light and dark."""
_INSIDE, _OUTSIDE, _HOST = "#4c8dd6", "#e5484d", "#a06a00"
"""Legible on white and on black."""
CROWDED = 8
"""Batches beyond which their numbers would cover each other."""
ROOM = 0.09
"""What a label of a count takes, as a share of the width; one that would cover the last is left out."""
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "fixed",
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
}


def frames_plot(timeline: Sequence[Event], width: float = 7.0) -> str:
    """An SVG element, or nothing where the timeline has no frames.

    A dot is a batch of frames on a pair, with its number; it is a cross where the guest had been told that the
    pair is inactive. The solid line is the count that the guest was told, the dashed one the host's.
    """
    batches = [event for event in timeline if event.pair is not None and event.frames]
    if not batches:
        return ""
    top = max([event.pair or 0 for event in batches] + [(event.pairs or 1) - 1 for event in timeline])
    with mpl.rc_context(_STYLE):
        height = 0.9 + 0.28 * (top + 1)
        figure = Figure(figsize=(width, height))
        # Margins in inches: laying them out by content takes longer than all the rest.
        left, bottom, above = 0.55, 0.5, 0.08
        box = (left / width, bottom / height, 1 - (left + 0.1) / width, 1 - (bottom + above) / height)
        axes = figure.add_axes(box)
        _dots(axes, batches, timeline)
        _count(axes, timeline, "guest", "-", _INK)
        _count(axes, timeline, "host", "--", _HOST)
        axes.set_ylim(-0.6, top + 0.9)
        axes.set_yticks(range(top + 1))
        axes.set_xlabel("seconds")
        axes.set_ylabel("pair")
        axes.margins(x=0.06)
        axes.spines[["top", "right"]].set_visible(False)
        stream = io.StringIO()
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return _slim(stream.getvalue())


def _slim(svg: str) -> str:
    """Fit for being one of many in a page: no styles that leak, no ids that clash, short numbers."""
    svg = svg[svg.index("<svg") :].replace(_INK, "currentColor")
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    svg = re.sub(r"font-family: [^;\"]*", "font-family: inherit", svg)
    svg = re.sub(r"\d+\.\d{2,}", lambda match: f"{float(match[0]):.4g}", svg)
    svg = re.sub(r"\s+", " ", svg).replace("> <", "><")
    return svg.replace("<svg ", '<svg role="img" aria-label="frames per pair over time" ', 1)


def _dots(axes: Axes, batches: Sequence[Event], timeline: Sequence[Event]) -> None:
    most = max(event.frames or 0 for event in batches)
    places = [(event.at, event.pair or 0) for event in batches]
    crowded = len({event.at for event in batches}) > CROWDED
    largest = 24 if crowded else 90
    sizes = [14 + largest * (event.frames or 0) / most for event in batches]
    stray = [pair >= (_told(timeline, at) or pair + 1) for at, pair in places]
    for outside, marker, colour in ((False, "o", _INSIDE), (True, "X", _OUTSIDE)):
        chosen = [number for number in range(len(places)) if stray[number] is outside]
        axes.scatter(
            [places[number][0] for number in chosen],
            [places[number][1] for number in chosen],
            s=[sizes[number] for number in chosen],
            c=colour,
            marker=marker,
            zorder=3,
            linewidths=0,
        )
    for event, place in zip(batches, places, strict=True):
        if crowded:
            break  # the sizes must do
        text = str(event.frames)
        axes.annotate(text, place, xytext=(7, 0), textcoords="offset points", va="center", fontsize=8)


def _told(timeline: Sequence[Event], at: float) -> int | None:
    """The count that the guest had been told last."""
    counts = [e.pairs for e in timeline if e.source == "guest" and e.pairs is not None and e.at <= at]
    return counts[-1] if counts else None


def _count(axes: Axes, timeline: Sequence[Event], who: str, style: str, colour: str) -> None:
    """The boundary above the active pairs, as a step at each change, labelled where it differs from the last."""
    guest = who == "guest"
    changes = [e for e in timeline if e.pairs is not None and (e.source == "guest") == guest]
    if not changes:
        return
    end = max(event.at for event in timeline if event.frames or event.pairs is not None)
    levels = [(event.pairs or 0) - (0.5 if guest else 0.42) for event in changes]
    axes.step([e.at for e in changes] + [end], [*levels, levels[-1]], style, where="post", c=colour, lw=1)
    begin = min(event.at for event in timeline if event.frames or event.pairs is not None)
    labelled = _roomy(changes, ROOM * (end - begin), end)
    for event, level in zip(changes, levels, strict=True):
        if guest:
            axes.axvline(event.at, c=colour, lw=0.5, alpha=0.4)
        if event in labelled:
            text, place = f"{who}: {event.pairs}", (3, 3 if guest else -9)
            axes.annotate(
                text, (event.at, level), xytext=place, textcoords="offset points", color=colour, fontsize=8
            )


def _roomy(changes: Sequence[Event], room: float, end: float) -> list[Event]:
    """The changes whose labels cover no other one: those that last longest first, and no repetitions."""
    steps = [
        change
        for last, change in zip([None, *changes], changes, strict=False)
        if not last or last.pairs != change.pairs
    ]
    until = dict(zip([step.at for step in steps], [step.at for step in steps[1:]] + [end], strict=True))
    chosen: list[Event] = []
    for step in sorted(steps, key=lambda step: step.at - until[step.at]):
        if all(abs(step.at - other.at) >= room for other in chosen):
            chosen.append(step)
    return chosen
