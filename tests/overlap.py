"""Reads what --trace left and says how much of the communication was hidden behind compute: from
the ranges alone, by arithmetic of its own, so that what the program reports can be held to it.

    python tests/overlap.py TRACE...          a trace of each rank; standard library only

Prints JSON: {"card 0": [{"step": 3, "comm_ms": ..., "exposed_ms": ..., ...}, ...], ...}. Of a step:

  step_ms     its range, "step 3"
  comm_ms     at least one collective under way: the union of the ranges on the lanes
              "card 0 communication" (and "... 2", where several were under way at once)
  exposed_ms  the card's thread does nothing but communicate: its ranges "exposed_comm", which is
              how the program defines that phase (waiting for collectives, copying to and from
              their messages, DataParallel's scatter, replicate, gather and reduce)
  hidden_ms   of comm_ms, while the card's thread is in "forward" or "backward"
  overlap     1 - exposed_ms / comm_ms, and no less than 0; null where nothing is communicated

What is no Trace Event format, or no trace of ours, is told in a line, with status 1: a field that
is missing or of another type, ranges of a lane that neither nest nor lie apart, a name on a card's
lane that nobody gave, a collective outside all steps.
"""

import json
import re
import sys

ROUNDING_US = 0.01  # Kineto writes nanoseconds, and its microseconds' last digit is rounded
CLOCKS_US = 100  # Kineto reads another clock than ours, and both were set by the wall's
PHASES = {"M", "X", "i", "s", "t", "f"}
STAGES = {"data", "forward", "loss", "backward", "exposed_comm", "optimizer", "scatter",
          "replicate", "gather", "reduce"}
STEP = re.compile(r"step (\d+)$")
CARD = re.compile(r"card (\d+)$")
COLLECTIVE_LANE = re.compile(r"(card \d+) communication( [2-9]| [1-9]\d+)?$")
COLLECTIVE = re.compile(r"(all_reduce|all_gather|broadcast|reduce|reduce_scatter|update) \d+$")


class Wrong(Exception):
    pass


def number(event, key):
    value = event.get(key)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise Wrong(f"{event.get('name')!r}: {key} is {value!r}, no number")
    return value


def check_fields(event):
    if not isinstance(event, dict):
        raise Wrong(f"{event!r} is no event")
    for key in ("name", "ph"):
        if not isinstance(event.get(key), str) or not event[key]:
            raise Wrong(f"{event!r}: {key} is {event.get(key)!r}, no text")
    for key in ("pid", "tid"):
        if isinstance(event.get(key), bool) or not isinstance(event.get(key), (int, str)):
            raise Wrong(f"{event['name']!r}: {key} is {event.get(key)!r}")
    if event["ph"] not in PHASES:
        raise Wrong(f"{event['name']!r}: ph {event['ph']!r} is none that is used here")
    number(event, "ts")
    if event["ph"] in "Xstf" and not isinstance(event.get("cat"), str):
        raise Wrong(f"{event['name']!r}: no cat")
    if event["ph"] == "X" and number(event, "dur") < 0:
        raise Wrong(f"{event['name']!r}: dur {event['dur']} is negative")
    if event["ph"] == "M" and not isinstance(event.get("args"), dict):
        raise Wrong(f"{event['name']!r}: no args")


def check_nesting(lane, ranges):
    open_until = []
    for begin, end, name in sorted(ranges, key=lambda r: (r[0], -r[1])):
        while open_until and open_until[-1][0] <= begin + ROUNDING_US:
            open_until.pop()
        if open_until and end > open_until[-1][0] + ROUNDING_US:
            raise Wrong(f"{lane}: {name!r} ends after {open_until[-1][1]!r}, in which it began")
        open_until.append((end, name))


def lanes_of(trace):
    """{lane's name: [(begin, end, name, cat)]}, microseconds; checked."""
    events = trace.get("traceEvents") if isinstance(trace, dict) else None
    if not isinstance(events, list):
        raise Wrong("no traceEvents")
    names, ranges = {}, {}
    for event in events:
        check_fields(event)
        lane = (event["pid"], event["tid"])
        if event["ph"] == "M" and event["name"] == "thread_name":
            if names.setdefault(lane, event["args"].get("name")) != event["args"].get("name"):
                raise Wrong(f"lane {lane} has two names")
        if event["ph"] == "X" and event["pid"] != "Spans":  # Kineto's own: the whole trace
            begin = event["ts"]
            ranges.setdefault(lane, []).append(
                (begin, begin + event["dur"], event["name"], event["cat"]))
    lanes = {}
    for lane, of_lane in ranges.items():
        if lane not in names:
            raise Wrong(f"lane {lane} has no name")
        check_nesting(names[lane], [r[:3] for r in of_lane])
        lanes.setdefault(names[lane], []).extend(of_lane)  # gloo's threads share one
    return lanes


def check_names(lanes):
    for lane, ranges in lanes.items():
        for _, _, name, category in ranges:
            if COLLECTIVE_LANE.match(lane):
                if category != "collective" or not COLLECTIVE.match(name):
                    raise Wrong(f"{lane}: {name!r} of {category!r} is no collective")
            elif CARD.match(lane) and category == "user_annotation":
                if name not in STAGES and not STEP.match(name):
                    raise Wrong(f"{lane}: {name!r} is no stage")


def union(intervals):
    merged = []
    for begin, end in sorted(intervals):
        if merged and begin <= merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], end)
        else:
            merged.append([begin, end])
    return merged


def within(intervals, bounds):
    """What of `intervals` lies in `bounds`, both unions."""
    return [[max(a, c), min(b, d)] for a, b in intervals for c, d in bounds
            if min(b, d) > max(a, c)]


def total_ms(intervals):
    return sum(end - begin for begin, end in intervals) / 1e3


def figures(card, lanes):
    ranges = lanes[card]
    stages = {name: union((b, e) for b, e, n, category in ranges
                          if n == name and category == "user_annotation") for name in STAGES}
    steps = sorted((b, e, int(STEP.match(n)[1])) for b, e, n, category in ranges
                   if category == "user_annotation" and STEP.match(n))
    if not steps:
        raise Wrong(f"{card}: no step")
    collectives = [(b, e) for lane, of_lane in lanes.items()
                   if (match := COLLECTIVE_LANE.match(lane)) and match[1] == card
                   for b, e, _, _ in of_lane]
    for begin, end in collectives:
        if not any(b - CLOCKS_US <= begin and end <= e + CLOCKS_US for b, e, _ in steps):
            raise Wrong(f"{card}: a collective from {begin} to {end} is in no step")
    result = []
    for begin, end, index in steps:
        comm = union(c for c in collectives if begin <= c[0] < end)
        compute = union(stages["forward"] + stages["backward"])
        comm_ms = total_ms(comm)
        exposed_ms = total_ms(within(stages["exposed_comm"], [[begin, end]]))
        overlap = max(0, 1 - exposed_ms / comm_ms) if comm_ms > 0 else None
        result.append({"step": index, "step_ms": (end - begin) / 1e3, "comm_ms": comm_ms,
                       "exposed_ms": exposed_ms, "hidden_ms": total_ms(within(comm, compute)),
                       "overlap": overlap})
    return result


def main(paths):
    found = {}
    for path in paths:
        try:
            with open(path, encoding="utf-8") as file:
                lanes = lanes_of(json.load(file))
            check_names(lanes)
            cards = [lane for lane in lanes if CARD.match(lane)
                     and any(STEP.match(name) for _, _, name, _ in lanes[lane])]
            if not cards:
                raise Wrong("no lane of a card with steps")
            for card in cards:
                if card in found:
                    raise Wrong(f"{card} is in two files")
                found[card] = figures(card, lanes)
        except (Wrong, json.JSONDecodeError, OSError) as error:
            sys.exit(f"overlap.py: {path}: {error}")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(sys.argv[1:])
