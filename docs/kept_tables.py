"""Tables in Markdown of kept runs: rows of reports/results/ in, text out. docs/generate.py puts
them into the documents."""

import json
import pathlib
import statistics

ROOT = pathlib.Path(__file__).resolve().parent.parent
MODES = {"single": "one card", "dp": "DataParallel", "ddp": "DDP", "horovod": "Horovod"}
PEERS = {
    "single-python": "Python, one process",
    "single-python-compile": "Python, `torch.compile`",
    "ddp-python": "Python DDP over gloo",
    "ddp-c10d": "`c10d::Reducer` over gloo",
    "bound": "the bound",
}
SHARDED = {"ddp-sharded": "DDP, optimizer sharded"}
# As in summary/ratios.cpp; DataParallel's ways are added as they come.
RATIOS = [
    (ours, peer)
    for ours in ("single", "ddp", "ddp-sharded")
    for peer in PEERS
    if (ours == "single") == peer.startswith("single-python")
] + [("horovod", "ddp"), ("horovod", "bound")]


def median_step_ms(row: dict) -> float:
    return statistics.median(row["step_ms"][row.get("warmup_steps", 0) :])


def typical(row: dict, values: list) -> float:
    """As rows::step_ms_of: the median step, of ranks that meet every H steps the mean over whole rounds."""
    every = int(row["options"].get("local-sgd", 0))
    if not every:
        return statistics.median(values[row.get("warmup_steps", 0) :])
    first = -(-row.get("warmup_steps", 0) // every) * every
    return statistics.mean(values[first : len(values) // every * every])


def phase_ms(rows: list, phase: str) -> str:
    """Medians over steps and repetitions; empty where there is no such phase."""
    if phase not in rows[0]["phases_ms"]:
        return ""
    warm = rows[0].get("warmup_steps", 0)
    medians = [statistics.median(row["phases_ms"][phase][warm:]) for row in rows]
    return f"{statistics.median(medians):.2f}"


def table_line(rows: list) -> str:
    """One case: medians over its repetitions, and the spread of the throughput."""
    row = rows[0]
    speeds = [1000 * one["global_batch"] / median_step_ms(one) for one in rows]
    peaks = [card["peak_bytes"] / 2**20 for card in row["memory"]]
    others = peaks[1:]
    return "| {} | {} | {} | {:,.0f} ({:,.0f} to {:,.0f}) | {:.2f} | {} | {} | {} | {} |".format(
        row["model"],
        ", ".join(filter(None, [way_of(row["mode"]), row["options"].get("link")])),
        str(row["cards"]) + (" (oversubscribed)" if "oversubscribed" in row["flags"] else ""),
        statistics.median(speeds),
        min(speeds),
        max(speeds),
        statistics.median(median_step_ms(one) for one in rows),
        phase_ms(rows, "comm"),
        phase_ms(rows, "exposed_comm"),
        " / ".join(f"{peak:.2f}" for peak in peaks),
        f"{peaks[0] / statistics.mean(others):.2f}" if others else "",
    )


def kept_rows(file: str) -> list:
    lines = (ROOT / "reports/results" / file).read_text(encoding="utf-8").splitlines()
    return [row for row in map(json.loads, lines) if row["status"] == "ok"]


def commits_of(rows: list) -> str:
    named = list(dict.fromkeys(row["commit"] for row in rows))
    return ("commit " if len(named) == 1 else "commits ") + ", ".join(named)


def run_line(rows: list, file: str, batch: str = "") -> str:
    row = rows[0]
    return (
        f"{row['machine']['cpu']}, {row['machine']['cores']} cores, "
        f"{row['threads_per_card']} thread(s) a card, {batch}{row['date'][:10]}, "
        f"{commits_of(rows)}, from [`reports/results/{file}`](/reports/results/{file})."
    )


def machine_line(rows: list, file: str) -> str:
    return run_line(rows, file, f"local batch {rows[0]['local_batch']}, ")


def ratios(file: str) -> str:
    """Throughput over a peer's: repetition k over repetition k, as they ran side by side."""
    rows = kept_rows(file)
    speeds = {}
    for row in rows:
        case = speeds.setdefault((row["model"], row["cards"], row["mode"]), {})
        case[row["repetition"]] = row["global_batch"] / median_step_ms(row)
    out = ["| model | cards | ours | over | ratio (spread) | repetitions |", "|---|---|---|---|---|---|"]
    models = list(dict.fromkeys(row["model"] for row in rows))
    points = sorted({(models.index(model), cards) for model, cards, _ in speeds})
    for number, cards in points:
        model = models[number]
        ways = [mode for one, count, mode in speeds if (one, count) == (model, cards)]
        ways = [mode for mode in ways if mode.split("-")[0] == "dp"]
        pairs = [(way, "bound") for way in ways] + [(way, ways[0]) for way in ways[1:]]
        for ours, peer in RATIOS + pairs:
            mine, other = (speeds.get((model, cards, mode), {}) for mode in (ours, peer))
            found = [mine[k] / other[k] for k in sorted(mine.keys() & other.keys())]
            if found:
                out.append(
                    f"| {model} | {cards} | {way_of(ours)} | {way_of(peer)} | "
                    f"{statistics.median(found):.2f} ({min(found):.2f} to {max(found):.2f}) | "
                    f"{len(found)} |"
                )
    if len(out) == 2:
        raise SystemExit(f"generate.py: no peers in {file}; make it with `bench --peers`")
    out += ["", "Samples a second over the peer's; " + machine_line(rows, file), ""]
    return "\n".join(out)


def table(file: str, models: str, modes: str = ",".join(MODES)) -> str:
    rows = kept_rows(file)
    ways = modes.split(",")
    cases = {}
    for row in rows:
        if row["mode"] in ways:
            link = row["options"].get("link") or ""
            key = (row["model"], ways.index(row["mode"]), row["cards"], link)
            cases.setdefault(key, []).append(row)
    emulated = " emulated" if "emulated" in rows[0]["flags"] else ""
    out = [
        "| model | way |{} cards | samples/s (spread) | step ms | comm ms "
        "| exposed ms | peak MiB of each card | imbalance |".format(emulated),
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for model in models.split(","):
        found = [key for key in sorted(cases) if key[0] == model]
        if not found:
            raise SystemExit(f"generate.py: no rows of {model} in {file}")
        out += [table_line(cases[key]) for key in found]
    out += [
        "",
        "Weak scaling: the local batch stays. Medians over steps and repetitions. *comm*: while any "
        "collective was under way; *exposed*: what the step waited for, DataParallel's copies too. "
        + machine_line(rows, file),
        "",
    ]
    return "\n".join(out)


def ways(file: str) -> str:
    """Cases of DDP that differ in a knob, against the first of their model."""
    cases = {}
    for row in kept_rows(file):
        if row["mode"] == "ddp" and row["cards"] > 1:
            cases.setdefault((row["model"], row["name"]), []).append(row)
    out = ["| case | samples/s (spread) | over the first | step ms | exposed ms |", "|---|---|---|---|---|"]
    first = {}
    for (model, name), rows in cases.items():
        steps = [typical(row, row["step_ms"]) for row in rows]
        exposed = [typical(row, row["phases_ms"]["exposed_comm"]) for row in rows]
        speeds = [1000 * row["global_batch"] / step for row, step in zip(rows, steps)]
        first.setdefault(model, statistics.median(speeds))
        out.append(
            f"| `{name}` | {statistics.median(speeds):,.0f} ({min(speeds):,.0f} to {max(speeds):,.0f}) | "
            f"{statistics.median(speeds) / first[model]:.2f} | "
            f"{statistics.median(steps):.1f} | {statistics.median(exposed):.1f} |"
        )
    out += ["", "Medians over steps and repetitions; " + machine_line(rows, file), ""]
    return "\n".join(out)


def way_of(mode: str) -> str:
    """A mode in words; DataParallel's other ways by their options."""
    named = {**MODES, **SHARDED, **PEERS}
    if mode in named or not mode.startswith("dp-"):
        return named.get(mode, mode)
    return "DataParallel, " + mode.removeprefix("dp-").replace("-", " ")


def memory(file: str) -> str:
    """Each card's peak as predict/ told it and as it was, in the repetition that is farthest off."""
    worst = {}
    for row in kept_rows(file):
        for card in row["memory"]:
            told = card.get("predicted_peak_bytes")
            if told is None:
                continue
            off = 100 * (told - card["peak_bytes"]) / card["peak_bytes"]
            key = (row["model"], row["mode"], row["cards"], row["local_batch"])
            cards = worst.setdefault(key, {})
            if card["card"] not in cards or abs(off) > abs(cards[card["card"]][2]):
                cards[card["card"]] = (told / 2**20, card["peak_bytes"] / 2**20, off)
    if not worst:
        raise SystemExit(f"generate.py: nothing predicted in {file}; make it with `bench --predict-memory`")
    out = [
        "| model | way | cards | local batch | predicted MiB of each card | measured MiB | off by at most |",
        "|---|---|---|---|---|---|---|",
    ]
    for (model, mode, count, batch), cards in worst.items():
        ordered = [cards[card] for card in sorted(cards)]
        predicted, measured = (" / ".join(f"{card[i]:.2f}" for card in ordered) for i in (0, 1))
        off = max((card[2] for card in ordered), key=abs)
        out.append(
            f"| {model} | {way_of(mode)} | {count} | {batch} | {predicted} | {measured} | {off:+.3f} % |"
        )
    out += [
        "",
        "Predicted from one card at two small batches; of several repetitions the one that is "
        "farthest off. " + run_line(kept_rows(file), file),
        "",
    ]
    return "\n".join(out)


def foretold(rows: list) -> list:
    """A tuple a case: its rows, the median of each, their median, the error, whether it was within."""
    cases = {}
    for row in rows:
        if "predicted_step_ms" in row:
            cases.setdefault(row["name"], []).append(row)
    judged = []
    for same in cases.values():
        told = same[0]["predicted_step_ms"]
        steps = [median_step_ms(row) for row in same]
        measured = statistics.median(steps)
        within = told["low"] <= measured <= told["high"]
        judged.append((same, steps, measured, told["value"] / measured - 1, within))
    return judged


def forecasts(file: str) -> str:
    """The step of each case as it was foretold, beside what it took: medians over repetitions."""
    cases = foretold(kept_rows(file))
    if not cases:
        raise SystemExit(f"kept_tables.py: nothing foretold in {file}; make it with `bench --predict`")
    out = ["| model | way | cards | link | foretold ms | interval | measured ms (spread) | error |", "|---|---|---|---|---|---|---|---|"]
    for rows, steps, measured, error, _ in cases:
        row = rows[0]
        told = row["predicted_step_ms"]
        out.append(
            f"| {row['model']} | {way_of(row['mode'])} | {row['cards']} | "
            f"{row['options'].get('link', '')} | {told['value']:.2f} | "
            f"{told['low']:.2f} to {told['high']:.2f} | "
            f"{measured:.2f} ({min(steps):.2f} to {max(steps):.2f}) | {100 * error:+.1f} % |"
        )
    sizes = [abs(error) for _, _, _, error, _ in cases]
    held = sum(within for *_, within in cases)
    out += [
        "",
        f"Mean error {100 * statistics.mean(sizes):.1f} %, worst {100 * max(sizes):.1f} %; "
        f"{held} of {len(sizes)} within the interval. " + machine_line(kept_rows(file), file),
        "",
    ]
    return "\n".join(out)
