// What stands above and beside the tables: the router itself, figures of all replicas, pools, agents.

import { by, cards, dress, make, note, say } from "/page/dom.js";
import { NONE, bytes, celsius, count, millis, number, percent, tone } from "/page/units.js";

const RATE_OVER_MS = 5000;

// Requests per second, from what each replica was sent in the last seconds.
class Rate {
  constructor() {
    this.seen = [];
  }

  of(at, endpoints) {
    const sent = new Map(endpoints.map((row) => [row.address, row.requests]));
    this.seen.push({ at, sent });
    while (this.seen.length > 2 && at - this.seen[0].at > RATE_OVER_MS) this.seen.shift();
    const [first] = this.seen;
    if (at - first.at < 500) return null;
    let more = 0;
    for (const [address, requests] of sent) more += Math.max(requests - (first.sent.get(address) ?? requests), 0);
    return (more * 1000) / (at - first.at);
  }
}

const sum = (values) => values.reduce((all, value) => all + value, 0);

export class Overview {
  constructor() {
    this.rate = new Rate();
    this.tiles = new Map();
  }

  show(picture) {
    const { router, endpoints, lane, pools, agents, decisions, at } = picture;
    const all = endpoints?.endpoints ?? [];
    this.router(router);
    this.replicas(all, this.rate.of(at, all));
    this.lane(lane, decisions?.decisions ?? [], all);
    drawPools(pools);
    drawAgents(agents, all);
  }

  router(router) {
    if (!router) return;
    const [first, ...rest] = router.readiness.split("\n");
    say(by("readiness"), router.ready ? "ready" : "not ready");
    dress(by("readiness"), `pill ${router.ready ? "good" : "bad"}`);
    const about = `${first.replace(/^(ok|not ready): /, "")} \u00b7 ${router.version} \u00b7 up ${millis(router.uptime_seconds * 1000)}`;
    say(by("about"), about);
    by("about").title = rest.join("\n");
  }

  replicas(all, rate) {
    const ready = all.filter((row) => row.ready);
    const kv = ready.filter((row) => row.signals?.kv_use);
    const used = (row) => row.signals.kv_use.value;
    const fullest = kv.reduce((most, row) => (most && used(most) >= used(row) ? most : row), null);
    const waiting = ready.map((row) => row.signals?.queue?.value).filter((value) => value != null);
    const running = ready.map((row) => row.signals?.running?.value).filter((value) => value != null);
    const out = all.length - ready.length;
    const about = out > 0 ? `${count(out)} not ready` : all.length > 0 ? "all of them" : "there is none";
    this.tile("Replicas ready", `${count(ready.length)} of ${count(all.length)}`, about, out > 0 ? "bad" : "");
    this.tile("Requests per second", number(rate ?? NaN), `${count(sum(all.map((row) => row.requests)))} since the start`);
    this.tile("In flight", count(sum(all.map((row) => row.in_flight))), `${count(sum(running))} running on engines`);
    this.tile("Waiting", waiting.length > 0 ? count(sum(waiting)) : NONE, "in engines' queues", sum(waiting) > 0 ? "warn" : "");
    const mean = kv.length > 0 ? sum(kv.map(used)) / kv.length : null;
    this.tile("KV cache in use", percent(mean), fullest ? `fullest ${percent(used(fullest))}: ${fullest.address}` : "no engine says");
  }

  // Its share of what was answered lately.
  lane(lane, decisions, all) {
    if (!lane) return;
    const answered = decisions.map(({ outcome }) => outcome).filter((outcome) => outcome?.bytes > 0);
    const carried = sum(answered.map((outcome) => outcome.lane_bytes));
    const total = sum(answered.map((outcome) => outcome.bytes));
    const sent = sum(all.map((row) => row.requests));
    const local = sum(all.filter((row) => row.local).map((row) => row.requests));
    const here = sent > 0 ? `${percent(local / sent)} of requests to this node` : "no request yet";
    const share = total > 0 ? percent(carried / total) : NONE;
    if (lane.on) this.tile("Kernel lane", share, total > 0 ? `of the last ${bytes(total)}; ${here}` : here);
    else this.tile("Kernel lane", "off", lane.mode === "off" ? "by the settings" : (lane.why_off ?? "by hand"));
  }

  tile(name, value, about = "", classes = "") {
    let tile = this.tiles.get(name);
    if (!tile) {
      tile = { value: make("dd"), about: make("dd", "faint") };
      this.tiles.set(name, tile);
      by("tiles").append(make("div", "", make("dt", "", name), tile.value, tile.about));
    }
    say(tile.value, value);
    dress(tile.value, classes);
    say(tile.about, about);
  }
}

function drawPools(page) {
  const pools = page?.pools ?? [];
  const card = ({ name, strategy, ready, replicas, serves, models }) => {
    const state = make("span", ready === 0 ? "bad" : ready < replicas ? "warn" : "good", `${count(ready)} of ${count(replicas)} ready`);
    const rules = models.length > 0 ? ` \u00b7 ${count(models.length)} rules` : "";
    const about = `${strategy} \u00b7 serves ${serves.join(", ") || "nothing yet"}${rules}`;
    return [make("div", "line", make("b", "", name), state), make("small", "", about)];
  };
  cards(by("pools"), pools, card);
  const troubles = page?.cluster?.troubles ?? [];
  note(by("pools-note"), troubles.join(" \u00b7 ") || (pools.length > 0 ? "" : "There is no pool."));
}

function gpuLine(gpu) {
  const memory = gpu.memory_total_bytes ? percent(gpu.memory_used_bytes / gpu.memory_total_bytes) : NONE;
  const figures = `${celsius(gpu.temperature_celsius)}, busy ${percent(gpu.utilisation)}, memory ${memory}`;
  const parts = [gpu.name, figures, gpu.verdict === "healthy" ? "" : gpu.verdict].filter(Boolean);
  return make("small", `dot ${tone(gpu.verdict)}`, make("span", "", parts.join(" \u00b7 ")));
}

function drawAgents(page, all) {
  // What changes each second is rounded, so that a card is drawn anew only where it says something else.
  const heardOf = (ms) => (ms == null ? "nothing heard yet" : ms < 2000 ? "heard just now" : `heard ${millis(ms)} ago`);
  const known = (page?.agents ?? []).map(({ address, node, connected, heard_ms_ago: heard, trouble, endpoints, gpus }) => ({
    name: node || address, address, connected, trouble, count: endpoints.length, gpus, heard: heardOf(heard),
  }));
  const card = ({ name, address, connected, trouble, count: engines, gpus, heard }) => [
    make("div", "line", make("b", "", name), make("span", connected ? "good" : "bad", connected ? "connected" : "lost")),
    make("small", "", `${address} \u00b7 ${engines} ${engines === 1 ? "engine" : "engines"} \u00b7 ${heard}`),
    ...(trouble ? [make("small", "bad", trouble)] : []),
    ...gpus.map(gpuLine),
  ];
  cards(by("agents"), known, card);
  const unseen = all.length > 0 ? ": the router reads engines by itself, and failing GPUs are not seen" : "";
  note(by("agents-note"), known.length > 0 ? "" : `No agent is followed${unseen}.`);
}
