// The table of replicas: the columns of `warmlane top`, but points of a pick in place of its score.

import { by, dress, fillGauge, gauge, hint, make, note, say } from "/page/dom.js";
import { MOST, Table } from "/page/table.js";
import { NONE, celsius, count, millis, number, percent, tone } from "/page/units.js";

// An engine is read once a second at least.
const OLD_MS = 5000;
// Readings of a replica that is not ready, and of which nothing came for longer, are of an engine that may be no more.
const GONE_MS = 10000;
const FULL = 0.9;

function reading(name) {
  return ({ ready, signals }) => {
    const known = signals?.[name];
    return !ready && known?.age_ms >= GONE_MS ? undefined : known?.value;
  };
}

// A cell of text: what it says, its colour and what it says when pointed at.
function text(of, toneOf = () => "", about = () => "", classes = "") {
  return () => {
    const cell = make("td", classes);
    const update = (row) => {
      say(cell, of(row));
      for (const each of ["good", "warn", "bad", "faint"]) cell.classList.toggle(each, each === toneOf(row));
      hint(cell, about(row));
    };
    return { cell, update };
  };
}

function kv() {
  const bar = gauge();
  const cell = make("td", "", bar.node);
  const update = (row) => {
    const share = reading("kv_use")(row);
    fillGauge(bar, share, percent(share), share >= 0.97 ? "bad" : share >= FULL ? "warn" : "");
  };
  return { cell, update };
}

const asleep = (row) => row.signals?.awake?.value === false;
const state = (row) => (row.ready ? (asleep(row) ? "warn" : tone(row.health)) : "bad");

function healthOf(row) {
  const known = !row.ready && row.health === "healthy" ? "not ready" : row.health;
  return asleep(row) ? `asleep, ${known}` : known;
}

function address(choose) {
  return (first) => {
    const button = make("button", "", first.address);
    button.type = "button";
    button.addEventListener("click", () => choose(first.address));
    const cell = make("td", "name dot", button);
    const update = (row) => {
      dress(cell, `name dot ${state(row)}`);
      hint(cell, `${row.address}, ${healthOf(row)}: its decisions alone`);
    };
    return { cell, update };
  };
}

export function oldest({ signals }) {
  const ages = ["queue", "running", "kv_use"].map((name) => signals?.[name]?.age_ms).filter((age) => age != null);
  return ages.length > 0 ? Math.max(...ages) : null;
}

function adapters({ signals }) {
  const lora = signals?.lora?.value;
  return lora ? `${lora.active.length + lora.waiting.length}/${lora.max}` : NONE;
}

const gpuTone = ({ gpus }) => ["bad", "warn"].find((worse) => gpus.some((gpu) => tone(gpu.verdict) === worse)) ?? "";
const gpuAbout = ({ gpus }) => gpus.map((gpu) => `${gpu.name} ${celsius(gpu.temperature_celsius)}: ${gpu.verdict}`).join("\n");
const scored = ({ score }) => (score ? (score.total === null ? `not ${score.verdict}` : score.total.toFixed(1)) : NONE);
const healthTone = (row) => (state(row) === "good" ? "" : state(row));
const ageTone = (row) => (oldest(row) >= OLD_MS ? "warn" : "");
const queued = (row) => (reading("queue")(row) > 0 ? "warn" : "");
const rounded = ({ score }) => (score?.total == null ? null : Math.round(score.total * 10));

const of = (name) => text((row) => number(reading(name)(row)));
const byHealth = (row) => (row.ready ? "1" : "0") + row.health;
const local = text((row) => (row.local ? "yes" : "no"), (row) => (row.local ? "" : "faint"));
const node = text((row) => row.node ?? NONE, () => "faint", (row) => row.node ?? "");
const inFlight = text((row) => count(row.in_flight));
const active = (row) => row.signals?.lora?.value?.active.length;

const ABOUT = {
  score: "The total of a pick, as an explanation has it: what a short new request for the pool's first model would give this replica now. More is better",
  queue: "Requests waiting for its scheduler",
  in_flight: "Requests of this router under way there",
  running: "Requests in its batch, whoever sent them",
  gpu: "The hottest of its node",
  adapters: "LoRA adapters wanted, and most at once",
  local: "On the router's own node, where the kernel lane can carry its answers",
  age: "Of the oldest reading that picks rest on",
};

function columns(choose) {
  const all = [
    { key: "address", title: "Replica", draw: address(choose), sort: (row) => row.address },
    { key: "score", title: "Points", num: true, draw: text(scored), sort: rounded },
    { key: "queue", title: "Queue", num: true, draw: text((row) => number(reading("queue")(row)), queued), sort: reading("queue") },
    { key: "kv", title: "KV cache", num: true, draw: kv, sort: reading("kv_use") },
    { key: "in_flight", title: "In flight", num: true, draw: inFlight, sort: (row) => row.in_flight },
    { key: "running", title: "Running", num: true, draw: of("running"), sort: reading("running") },
    { key: "gpu", title: "GPU", num: true, draw: text((row) => celsius(row.hottest), gpuTone, gpuAbout), sort: (row) => row.hottest },
    { key: "health", title: "Health", draw: text(healthOf, healthTone, healthOf, "name"), sort: byHealth },
    { key: "adapters", title: "Adapters", num: true, draw: text(adapters), sort: active },
    { key: "local", title: "Local", draw: local, sort: (row) => (row.local ? "0" : "1") },
    { key: "node", title: "Node", draw: node, sort: (row) => row.node },
    { key: "age", title: "Age", num: true, draw: text((row) => millis(oldest(row)), ageTone), sort: oldest },
  ];
  return all.map((column) => ({ ...column, about: ABOUT[column.key] }));
}

export class Replicas {
  constructor(choose) {
    const rowClass = (row) => (row.ready ? "" : "out");
    const order = { sortBy: "score", descending: true };
    this.table = new Table("replicas", columns(choose), { keyOf: (row) => row.address, rowClass, ...order });
    this.all = null;
    by("find").addEventListener("input", () => this.draw());
  }

  show({ endpoints, agents }, scores) {
    this.all = endpoints?.endpoints ?? null;
    const nodes = new Map();
    for (const agent of agents?.agents ?? []) {
      for (const each of agent.endpoints) nodes.set(each, agent.gpus);
    }
    for (const row of this.all ?? []) {
      row.gpus = nodes.get(row.address) ?? [];
      row.hottest = row.gpus.reduce((most, { temperature_celsius: heat }) => (heat == null ? most : Math.max(most ?? heat, heat)), null);
      row.score = scores.of(row.address);
    }
    this.draw();
  }

  draw() {
    const wanted = by("find").value.trim().toLowerCase();
    const named = (row) => [row.address, row.node, row.health, ...(row.pools ?? [])].some((name) => name?.toLowerCase().includes(wanted));
    const all = this.all ?? [];
    const found = wanted === "" ? all : all.filter(named);
    const shown = this.table.show(found);
    const rest = found.length > shown ? `, the first ${MOST} shown; ${count(found.length - shown)} more` : "";
    const matching = wanted === "" ? "" : `${count(found.length)} of `;
    say(by("replicas-count"), all.length > 0 ? `${matching}${count(all.length)}${rest}` : "");
    note(by("replicas-note"), this.why(found));
  }

  // Nothing to say where there are rows.
  why(found) {
    if (found.length > 0) return "";
    if (this.all === null) return "This router does not say which replicas it has.";
    return this.all.length > 0 ? "No replica is named so." : "There is no replica yet: Pools below says what each pool lacks.";
  }
}
