// Why one request went where it went: every filter and score, what the readings were and how old, and what it would be now.

import { hint, make } from "/page/dom.js";
import { MOST } from "/page/table.js";
import { NONE, bytes, count, micros, millis, number, percent } from "/page/units.js";

// In the order of the CLI; what a newer router adds stands behind.
const SCORES = ["queue", "kv", "work", "lora", "prefix", "session", "group", "locality"];
const STAGES = ["read", "admit", "pick", "connect", "relay", "done"];
const HUES = 8;
const GONE = "What it was made of is no longer kept: newer snapshots have taken its place.";

export function drawExplanation({ decision, others, weights, then, now, now_unknown: unknown }) {
  const drawn = [make("section", "", facts(decision, others, then))];
  const names = scoresOf(weights);
  // Why stands above already.
  if (then) drawn.push(choice("As it was decided", { ...then, why: "" }, weights, names));
  else drawn.push(make("section", "", make("h3", "", "As it was decided"), make("p", "warn", GONE)));
  if (now) drawn.push(choice(later(now, then), now, weights, names));
  else if (unknown) drawn.push(make("section", "", make("h3", "", "Now"), make("p", "warn", `It cannot be said: ${unknown}`)));
  return drawn;
}

function later(now, then) {
  const same = then && then.endpoint === now.endpoint;
  return `What it would be now: ${now.endpoint ?? "nowhere"}${same ? ", as then" : ""}`;
}

function facts(decision, others, then) {
  const rows = [
    ["Request", `${decision.request_id}${others > 0 ? ` (the newest of ${count(others + 1)} with this id)` : ""}`],
    ["When", `${millis(decision.ms_ago)} ago, by ${decision.listener}`],
    ["Asked for", asked(decision)],
    ["Prompt", prompt(decision)],
    ["Went to", decision.endpoint ?? `nowhere: ${decision.refusal ?? "no reason"}`, decision.endpoint ? "" : "bad"],
    ["Because", then?.why],
    ["If it fails", then?.fallbacks.join(", ")],
    ["Set aside", then?.relaxed.length > 0 ? `${then.relaxed.join(", ")}: nobody would have passed` : ""],
    ["Became", became(decision)],
    ["Stages", stages(decision.outcome)],
  ];
  const list = make("dl", "facts");
  for (const [name, value, classes] of rows) {
    if (value) list.append(make("dt", "", name), make("dd", classes, value));
  }
  return list;
}

function asked({ model, asked_model: named, pool, criticality, strategy, session, group }) {
  const parts = [model ? (named ? `${named}, sent on as ${model}` : model) : "no model"];
  parts.push(`pool ${pool}`, criticality, strategy);
  if (session) parts.push(`session ${session}`);
  if (group) parts.push(`prefix group ${group}`);
  return parts.join(" \u00b7 ");
}

function prompt({ prompt_tokens: tokens, output_tokens: output, matched_tokens: held, matched_by: by }) {
  const warm = held > 0 ? `, ${count(held)} of them held there${by ? ` (known by ${by})` : ""}` : "";
  return `${count(tokens)} tokens${warm}; ${count(output)} to come`;
}

function became({ outcome, endpoint }) {
  if (!outcome) return "under way, or nobody told how it ended";
  const parts = [[outcome.status || "", outcome.end].filter(Boolean).join(" ")];
  if (outcome.endpoint && outcome.endpoint !== endpoint) parts.push(`served by ${outcome.endpoint}`);
  if (outcome.first_byte_us != null) parts.push(`first byte after ${micros(outcome.first_byte_us)}`);
  if (outcome.bytes != null) {
    const lane = outcome.lane_bytes > 0 ? `, ${bytes(outcome.lane_bytes)} of them by the kernel lane` : "";
    parts.push(`${bytes(outcome.bytes)} passed on${lane}`);
  }
  return parts.join(" \u00b7 ");
}

function stages(outcome) {
  const spent = outcome?.stages_us ?? {};
  return STAGES.filter((stage) => spent[stage] > 0).map((stage) => `${stage} ${micros(spent[stage])}`).join(" \u00b7 ");
}

// Those that count.
function scoresOf(weights) {
  const names = Object.keys(weights).filter((name) => weights[name] > 0);
  const place = (name) => (SCORES.includes(name) ? SCORES.indexOf(name) : SCORES.length);
  return names.sort((a, b) => place(a) - place(b));
}

function choice(title, { endpoint: chosen, why, endpoints, tied, refusal }, weights, names) {
  const drawn = make("section", "", make("h3", "", title));
  const lead = [refusal ?? why, tied > 1 ? `${count(tied)} had as much, one of them was drawn` : ""].filter(Boolean);
  if (lead.length > 0) drawn.append(make("p", refusal ? "bad" : "", lead.join("; ")));
  if (endpoints.length === 0) {
    drawn.append(make("p", "faint", "The pool had no replica."));
    return drawn;
  }
  // So that the best fills its bar.
  const most = endpoints.reduce((all, each) => Math.max(all, each.total), 0) || 1;
  const legend = names.map((name, at) => make("li", `hue${at % HUES}`, `${name}, up to ${number(weights[name])}`));
  const rows = endpoints.slice(0, MOST).map((each) => row(each, chosen, weights, names, most));
  const scroll = make("div", "scroll", make("table", "", make("thead", "", head(names)), make("tbody", "", ...rows)));
  [scroll.tabIndex, scroll.ariaLabel] = [0, title];
  scroll.setAttribute("role", "region");
  drawn.append(make("ul", "legend", ...legend), scroll);
  if (endpoints.length > MOST) drawn.append(make("p", "faint", `and ${count(endpoints.length - MOST)} more`));
  return drawn;
}

function head(names) {
  const titles = [["Replica"], ["Verdict"], ["Points"], ["Total", "num"], ...names.map((name) => [name, "num"])];
  titles.push(["Waits", "num"], ["KV then", "num"], ["Held", "num"], ["In flight", "num"], ["Readings", ""]);
  const cells = titles.map(([title, classes]) => {
    const cell = make("th", classes, title);
    cell.scope = "col";
    return cell;
  });
  return make("tr", "", ...cells);
}

function row(each, chosen, weights, names, most) {
  const competes = each.verdict === "candidate";
  const isChosen = each.address === chosen;
  const points = (name) => (each.scores[name] ?? 0) * weights[name];
  const verdict = isChosen ? "chosen" : competes ? "candidate" : `not ${each.verdict}`;
  const cells = [
    make("td", "name", each.address),
    make("td", isChosen ? "good" : competes ? "" : "warn", `${verdict}${each.trouble ? `: ${each.trouble}` : ""}`),
    make("td", "", competes ? stack(names.map(points), names, most) : NONE),
    make("td", "num", competes ? each.total.toFixed(2) : NONE),
    ...names.map((name) => make("td", "num", competes ? exactly(points(name)) : NONE)),
    make("td", "num", number(each.estimate.queue)),
    make("td", "num", percent(each.estimate.kv)),
    make("td", "num", count(each.matched_tokens)),
    make("td", "num", count(each.in_flight)),
    make("td", "faint", readings(each.signals)),
  ];
  return make("tr", isChosen ? "chosen" : competes ? "" : "out", ...cells);
}

const exactly = (points) => (points === 0 ? "0" : points.toFixed(2));

function readings(signals) {
  const one = ([name, { value, age_ms: age }]) => `${name} ${number(value, 2)} (${millis(age)})`;
  return Object.entries(signals).map(one).join(", ") || NONE;
}

// What each score gave, one beside the other.
function stack(points, names, most) {
  const parts = points.map((value, at) => {
    const part = make("i", `hue${at % HUES}`);
    part.style.width = `${Math.max((100 * value) / most, 0)}%`;
    return part;
  });
  const drawn = make("span", "points", ...parts);
  hint(drawn, names.map((name, at) => `${name} ${points[at].toFixed(2)}`).join("\n"));
  return drawn;
}
