// The last decisions, newest first; one of them, or one of a replica, can be chosen.

import { by, hint, make, note, say } from "/page/dom.js";
import { Table } from "/page/table.js";
import { NONE, count, micros, millis } from "/page/units.js";

const outcomeTone = ({ outcome, refusal }) => (refusal || outcome?.status >= 500 ? "bad" : outcome?.status >= 400 ? "warn" : "");

function text(of, classes = "", toneOf = () => "") {
  return () => {
    const cell = make("td", classes);
    const update = (row) => {
      say(cell, of(row));
      for (const each of ["warn", "bad"]) cell.classList.toggle(each, each === toneOf(row));
      hint(cell, of(row));
    };
    return { cell, update };
  };
}

function request(choose) {
  return (first) => {
    const button = make("button", "", first.request_id || "(no id)");
    button.type = "button";
    button.addEventListener("click", () => choose(first.request_id));
    return { cell: make("td", "name", button), update: () => hint(button, `${first.request_id}: why it went there`) };
  };
}

export function became({ outcome }) {
  if (!outcome) return "under way";
  return [outcome.status || null, outcome.end === "complete" ? null : outcome.end].filter(Boolean).join(" ") || outcome.end;
}

const warm = ({ prompt_tokens: prompt, matched_tokens: held }) => (held > 0 ? `${count(held)} of ${count(prompt)}` : count(prompt));

const went = (row) => row.endpoint ?? `nowhere: ${row.refusal ?? "no reason"}`;
const wentTone = (row) => (row.endpoint ? "" : "bad");
const HELD = "Of them, those that the replica was believed to hold";

function columns(choose) {
  return [
    { key: "ago", title: "Ago", num: true, draw: text((row) => millis(row.ms_ago)) },
    { key: "request", title: "Request", draw: request(choose) },
    { key: "endpoint", title: "Went to", draw: text(went, "name", wentTone) },
    { key: "model", title: "Model", draw: text((row) => row.model ?? NONE, "name") },
    { key: "prompt", title: "Prompt tokens", num: true, about: HELD, draw: text(warm) },
    { key: "first", title: "First byte", num: true, draw: text((row) => micros(row.outcome?.first_byte_us)) },
    { key: "became", title: "Became", draw: text(became, "name", outcomeTone) },
  ];
}

export class Decisions {
  constructor(choose, unchoose) {
    const rowClass = (row) => (row.request_id === this.chosen ? "chosen" : "");
    this.table = new Table("decisions", columns(choose), { keyOf: (row) => row.cursor, rowClass });
    this.chosen = null;
    this.replica = null;
    by("of-replica").addEventListener("click", unchoose);
  }

  // Those of one replica, or of all.
  of(replica) {
    this.replica = replica;
    note(by("of-replica"), replica === null ? "" : `${replica} \u00d7`);
    by("of-replica").setAttribute("aria-label", `Decisions of ${replica} alone; show those of all`);
  }

  show(page) {
    this.last = page;
    this.table.show(page?.decisions ?? []);
    note(by("decisions-note"), this.why(page));
  }

  mark(id) {
    this.chosen = id;
    if (this.last) this.show(this.last);
  }

  why(page) {
    if (page === null) return "This router does not say what it decided.";
    if (page.decisions.length > 0) return "";
    if (this.replica !== null && page.kept > 0) return "None of the decisions that are kept chose this replica.";
    return "No decision yet: requests to the aware listener, and those that an Envoy asks about, will show here.";
  }
}
