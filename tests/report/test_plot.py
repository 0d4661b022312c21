from __future__ import annotations

import xml.etree.ElementTree as ElementTree

from harness.record.results import Event
from harness.report.plot import frames_plot

TIMELINE = (
    Event(0.0, "guest", "DRIVER_OK", pairs=1),
    Event(0.1, "frames", "13 frames on pair 0", pair=0, frames=13),
    Event(0.1, "frames", "7 frames on pair 1", pair=1, frames=7),
    Event(0.2, "guest", "VQ_PAIRS_SET 2", pairs=2),
    Event(0.2, "netlink", "2 attached", pairs=2),
    Event(0.3, "frames", "5 frames on pair 1", pair=1, frames=5),
)


def _texts(svg: str) -> set[str]:
    tree = ElementTree.fromstring(svg)
    return {(node.text or "").strip() for node in tree.iter("{http://www.w3.org/2000/svg}text")}


def test_it_shows_frames_counts_and_pairs() -> None:
    assert {"13", "7", "5", "guest: 1", "guest: 2", "host: 2", "pair", "seconds", "0", "1"} <= _texts(
        frames_plot(TIMELINE)
    )


def test_frames_on_a_pair_that_the_guest_was_told_is_inactive_are_crosses() -> None:
    assert frames_plot(TIMELINE).count("#e5484d") == 1, "of another colour, and of another shape"
    assert "#e5484d" not in frames_plot([event for event in TIMELINE if event.frames != 7])


def test_it_takes_its_colour_from_the_page_and_leaks_no_style() -> None:
    svg = frames_plot(TIMELINE)
    assert "currentColor" in svg
    assert "<style" not in svg
    assert "#010203" not in svg
    assert len(svg) < 20_000


def test_without_frames_there_is_nothing_to_show() -> None:
    assert frames_plot([Event(0.0, "guest", "DRIVER_OK", pairs=1)]) == ""
    assert frames_plot([]) == ""


def test_it_is_the_same_every_time() -> None:
    assert frames_plot(TIMELINE) == frames_plot(TIMELINE)


def test_a_crowd_of_batches_has_no_numbers_and_few_labels() -> None:
    walk = [Event(n / 100, "guest", "", pairs=n % 4 + 1) for n in range(100)]
    walk += [Event(n / 100, "frames", "", pair=0, frames=64) for n in range(100)]
    texts = [
        text
        for text in frames_plot(sorted(walk, key=lambda event: event.at)).split("<text")
        if ">64<" in text
    ]
    assert texts == []
    labels = frames_plot(sorted(walk, key=lambda event: event.at)).count("guest: ")
    assert 5 < labels < 13
