"""The picture of the state machine as an SVG: boxes in a column, what leads back beside it.

All that is in it comes from `state_machine`; the layout alone is decided here. Colours are those of
the page, light or dark.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from state_machine import Step, described, steps

from pytest_smtpd.smtp.commands import OPENINGS, Phase

WIDTH = 780
_BOX, _LEFT = 270, 112  # of the column
_RIGHT = _LEFT + _BOX
_GAP = 44  # between two boxes, for an arrow and its label
_LANE = 70  # between two lines that lead back
_SIDE = 630  # where the boxes beside the column begin
_LINE = 17  # of text
_STAYS = 34  # characters in a line of a box

_STYLE = """
.smtpd-states { display: block; margin: 0 0 1em; width: 100%; min-width: 620px;
  max-width: 780px; height: auto;
  color: var(--color-foreground-primary, currentColor); font-size: 13px; }
.smtpd-states text { fill: currentColor; }
.smtpd-states .name { font-weight: 600; font-size: 14px; }
.smtpd-states .verb { font-family: var(--font-stack--monospace, monospace); font-size: 12px; }
.smtpd-states .box { fill: var(--color-background-secondary, none);
  stroke: var(--color-foreground-muted, currentColor); }
.smtpd-states .group { fill: none; stroke: var(--color-foreground-border, currentColor);
  stroke-dasharray: 4 4; }
.smtpd-states .way { fill: none; stroke: var(--color-brand-primary, currentColor);
  stroke-width: 1.5; }
.smtpd-states .head { fill: var(--color-brand-primary, currentColor); }
"""


@dataclass(frozen=True)
class _Box:
    title: str
    meaning: str
    stays: Sequence[str]  # lines
    x: float
    y: float
    width: float

    @property
    def height(self) -> float:
        return _LINE * (2 + len(self.stays)) + 16

    @property
    def bottom(self) -> float:
        return self.y + self.height

    @property
    def middle(self) -> float:
        return self.x + self.width / 2

    def svg(self) -> Iterator[str]:
        yield (
            f'<rect class="box" x="{self.x:g}" y="{self.y:g}" width="{self.width:g}" '
            f'height="{self.height:g}" rx="6"/>'
        )
        y = self.y + _LINE + 5
        yield _text(self.middle, y, self.title, "name")
        yield _text(self.middle, y + _LINE, self.meaning)
        for number, line in enumerate(self.stays, 2):
            yield _text(self.middle, y + number * _LINE, line, "verb")


@dataclass
class _Lane:
    """A line beside the column that leads back: from some phases to an earlier one."""

    label: Sequence[str]  # lines
    sources: Sequence[Phase]
    target: Phase
    right: bool

    @property
    def length(self) -> int:
        return max(map(_rank, self.sources)) - _rank(self.target)


def picture() -> str:
    """The whole picture, an `svg` element to stand in a page."""
    found = steps()
    column, beside = _columns(found)
    boxes = _boxes(found, column, beside)
    body = [*_forward(found, boxes, column), *_back(found, boxes, column)]
    frame, height = _ends(found, boxes, column)
    for box in boxes.values():
        body += box.svg()
    words = escape(" ".join(described()))
    return "\n".join(
        [
            '<div style="overflow-x: auto">',
            f'<svg class="smtpd-states" viewBox="0 0 {WIDTH} {height:g}" role="img" '
            'aria-labelledby="smtpd-states-title smtpd-states-desc" '
            'xmlns="http://www.w3.org/2000/svg">',
            '<title id="smtpd-states-title">The states of an SMTP session</title>',
            f'<desc id="smtpd-states-desc">{words}</desc>',
            f"<style>{_STYLE}</style>",
            '<marker id="smtpd-head" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" '
            'markerHeight="7" orient="auto"><path class="head" d="M0 0 L8 4 L0 8 z"/></marker>',
            *frame,
            *body,
            "</svg>",
            "</div>",
        ]
    )


# ---- boxes


def _columns(found: Sequence[Step]) -> tuple[list[Phase], list[Phase]]:
    """The phases on the way of a mail, and those that lead nowhere but out."""
    on_the_way = {step.source for step in found if step.target not in (None, Phase.CLOSED)}
    column = [phase for phase in Phase if phase is Phase.CONNECT or phase in on_the_way]
    return column, [phase for phase in Phase if phase not in (*column, Phase.CLOSED)]


def _boxes(
    found: Sequence[Step], column: Sequence[Phase], beside: Sequence[Phase]
) -> dict[Phase, _Box]:
    boxes: dict[Phase, _Box] = {}
    y = 1.0
    for phase in column:
        stays = [step.command for step in found if step.source is phase is step.target]
        lines = _wrapped(stays)
        boxes[phase] = _Box(phase.name, phase.value, lines, _LEFT, y, _BOX)
        y = boxes[phase].bottom + _GAP
    y = 1.0
    for phase in beside:
        boxes[phase] = _Box(phase.name, phase.value, (), _SIDE, y, WIDTH - _SIDE - 1)
        y = boxes[phase].bottom + _GAP
    boxes[Phase.CLOSED] = _Box(
        Phase.CLOSED.name, Phase.CLOSED.value, (), _SIDE, y, WIDTH - _SIDE - 1
    )
    return boxes


def _wrapped(words: Sequence[str]) -> list[str]:
    lines: list[str] = []
    for word in words:
        if lines and len(lines[-1]) + len(word) < _STAYS:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


# ---- ways


def _forward(
    found: Sequence[Step], boxes: dict[Phase, _Box], column: Sequence[Phase]
) -> Iterator[str]:
    for verdict, phase in OPENINGS.items():
        start, end = boxes[Phase.CONNECT], boxes[phase]
        if phase in column:
            yield _way((start.middle, start.bottom), (end.middle, end.y))
            yield _text(start.middle + 10, start.bottom + _GAP / 2, verdict, "verb", "start")
        else:
            y = end.y + end.height / 2
            yield _way((start.x + start.width, y), (end.x, y))
            yield _text(start.x + start.width + 12, y - 7, verdict, "verb", "start")
    for source, target in pairwise(column):
        commands = [
            step.command for step in found if (step.source, step.target) == (source, target)
        ]
        if commands:
            start, end = boxes[source], boxes[target]
            yield _way((start.middle, start.bottom), (end.middle, end.y))
            label = ", ".join(commands)
            yield _text(start.middle + 10, start.bottom + _GAP / 2 + 4, label, "verb", "start")


def _lanes(found: Sequence[Step], column: Sequence[Phase]) -> list[_Lane]:
    """Commands with the same target and sources share a line; those with a message are right."""
    sources: dict[tuple[str, Phase, bool], list[Phase]] = {}
    for step in found:
        target = step.target
        if target is None or target is Phase.CLOSED or step.source not in column:
            continue
        if target is not step.source:
            if column.index(target) == column.index(step.source) + 1:
                continue  # straight down
            sources.setdefault((step.command, target, step.message), []).append(step.source)
    labels: dict[tuple[tuple[Phase, ...], Phase, bool], list[str]] = {}
    for (command, target, message), phases in sources.items():
        labels.setdefault((tuple(phases), target, message), []).append(command)
    return [
        _Lane([*commands, *(["and the", "message"] if message else [])], phases, target, message)
        for (phases, target, message), commands in labels.items()
    ]


def _back(
    found: Sequence[Step], boxes: dict[Phase, _Box], column: Sequence[Phase]
) -> Iterator[str]:
    lanes = _lanes(found, column)
    for right in (False, True):
        side = sorted((lane for lane in lanes if lane.right is right), key=lambda lane: lane.length)
        depth: dict[int, int] = {}
        for lane in side:
            taken = [
                depth[id(other)] for other in side if id(other) in depth and _overlap(lane, other)
            ]
            depth[id(lane)] = next(n for n in range(len(side)) if n not in taken)
        ports = _ports(side, depth, boxes)
        for lane in side:
            edge = _RIGHT if right else _LEFT
            away = 1 if right else -1
            x = edge + away * (34 + _LANE * depth[id(lane)])
            end = ports[id(lane), lane.target]
            lowest = max(ports[id(lane), source] for source in lane.sources)
            yield _way((x, lowest), (x, end), (edge, end))
            for source in lane.sources:
                y = ports[id(lane), source]
                yield f'<path class="way" d="M{edge} {y:g} H{x:g}"/>'
            y = (end + lowest) / 2 - _LINE * (len(lane.label) - 1) / 2 + 4
            for number, line in enumerate(lane.label):
                anchor = "start" if right else "end"
                yield _text(x + away * 7, y + number * _LINE, line, _kind(line), anchor)


def _ports(
    side: Sequence[_Lane], depth: dict[int, int], boxes: dict[Phase, _Box]
) -> dict[tuple[int, Phase], float]:
    """Where each line meets each box: so ordered that none crosses another."""
    met: dict[Phase, list[tuple[int, int, int]]] = {}
    for lane in side:
        inward = depth[id(lane)]
        met.setdefault(lane.target, []).append((1, -inward, id(lane)))
        for source in lane.sources:
            met.setdefault(source, []).append((0, inward, id(lane)))
    ports: dict[tuple[int, Phase], float] = {}
    for phase, ends in met.items():
        box = boxes[phase]
        for number, (_, _, lane_id) in enumerate(sorted(ends), 1):
            ports[lane_id, phase] = box.y + box.height * number / (len(ends) + 1)
    return ports


def _overlap(one: _Lane, other: _Lane) -> bool:
    ends = [(_rank(lane.target), max(map(_rank, lane.sources))) for lane in (one, other)]
    return ends[0][0] < ends[1][1] and ends[1][0] < ends[0][1]


def _ends(
    found: Sequence[Step], boxes: dict[Phase, _Box], column: Sequence[Phase]
) -> tuple[list[str], float]:
    """A frame around all phases that the same commands end, and the ways out; the height."""
    closing: dict[Phase, list[str]] = {}
    for step in found:
        if step.target is Phase.CLOSED:
            closing.setdefault(step.source, []).append(step.command)
    end, parts = boxes[Phase.CLOSED], []
    framed = [boxes[phase] for phase in column if phase in closing]
    top, bottom = framed[0].y - 14, framed[-1].bottom + 14
    parts.append(
        f'<rect class="group" x="1" y="{top:g}" width="{_SIDE - 50}" height="{bottom - top:g}" '
        'rx="10"/>'
    )
    y = max(end.y + end.height / 2, top + 30)
    parts.append(_way((_SIDE - 49, y), (end.x, y)))
    labels = {tuple(commands) for phase, commands in closing.items() if phase in column}
    assert len(labels) == 1, "the frame says that each phase in it is ended by the same commands"
    parts.append(_text(_SIDE - 25, y - 7, ", ".join(*labels), "verb"))
    for phase, commands in closing.items():
        if phase not in column:
            box = boxes[phase]
            parts.append(_way((box.middle, box.bottom), (end.middle, end.y)))
            label = ", ".join(commands)
            parts.append(_text(box.middle + 10, box.bottom + _GAP / 2, label, "verb", "start"))
    return parts, bottom + 1


def _rank(phase: Phase) -> int:
    return list(Phase).index(phase)


def _kind(line: str) -> str:
    return "verb" if line.isupper() else ""


def _way(*points: tuple[float, float]) -> str:
    path = " L".join(f"{x:g} {y:g}" for x, y in points)
    return f'<path class="way" marker-end="url(#smtpd-head)" d="M{path}"/>'


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "middle") -> str:
    css = f' class="{kind}"' if kind else ""
    return f'<text{css} x="{x:g}" y="{y:g}" text-anchor="{anchor}">{escape(text)}</text>'
