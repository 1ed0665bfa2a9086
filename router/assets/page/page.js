// Asks each second while somebody looks, shows what came, and says so when nothing comes.
//
// What is looked at stands in the address (#why=REQUEST-ID, #replica=ADDRESS), so that it can be passed on and gone back from.

import { Decisions } from "/page/decisions.js";
import { by, make, note, say } from "/page/dom.js";
import { drawExplanation } from "/page/explain.js";
import { Refused, Scores, explanation, picture } from "/page/feed.js";
import { Overview } from "/page/overview.js";
import { Replicas } from "/page/replicas.js";
import { clock, millis } from "/page/units.js";

const EVERY = 1000;
const EVERY_AWAY = 2000;

// asked: how often a picture was asked for; shown: of which replica the one on the page has the decisions, null for all.
const state = { paused: false, heard: null, heardAt: null, away: false, replica: null, why: null, asked: 0, shown: undefined };
const scores = new Scores();
const overview = new Overview();
const replicas = new Replicas((address) => go({ replica: address }));
const decisions = new Decisions((id) => go({ why: id }), () => go({ replica: null }));

// === What is looked at ===

function looked() {
  const named = new URLSearchParams(location.hash.slice(1));
  return { replica: named.get("replica"), why: named.get("why") };
}

function go(change) {
  const next = new URLSearchParams();
  for (const [key, value] of Object.entries({ ...looked(), ...change })) if (value) next.set(key, value);
  location.hash = next.toString();
}

function follow() {
  const { replica, why } = looked();
  if (replica !== state.replica) {
    state.replica = replica;
    decisions.of(replica);
    refresh();
  }
  if (why !== state.why) {
    state.why = why;
    decisions.mark(why);
    if (why) explain(why);
    else by("why").close();
  }
}

async function explain(id) {
  const body = by("why-body");
  body.replaceChildren(make("p", "faint", `Asking why ${id} went where it went \u2026`));
  if (!by("why").open) by("why").showModal();
  const drawn = await explained(id);
  // Somebody may have asked for another meanwhile.
  if (state.why === id) body.replaceChildren(...drawn);
}

async function explained(id) {
  let said;
  try {
    said = await explanation(id);
  } catch (error) {
    return [make("p", "bad", error instanceof Refused ? error.message : "The router does not answer.")];
  }
  try {
    return drawExplanation(said);
  } catch (error) {
    return [make("p", "bad", fault(error))];
  }
}

// === The picture ===

// Two may be under way: what is looked at has changed since, or a tab has come to the front.
async function refresh() {
  state.asked += 1;
  const { asked, replica } = state;
  let seen;
  try {
    seen = await picture(replica);
  } catch {
    if (asked === state.asked) lost();
    return;
  }
  if (!isWanted(asked, replica)) return;
  state.away = false;
  document.body.dataset.state = "live";
  try {
    show(seen);
    [state.heard, state.heardAt, state.shown] = [performance.now(), new Date(), replica];
    note(by("away"), "");
    scores.refresh(seen.pools?.pools, seen.endpoints?.endpoints.length ?? 0).catch(fault);
  } catch (error) {
    note(by("away"), `${fault(error)} What stands below may be old; it is tried again each second.`);
  }
}

// Only the newest answer is shown, and while paused only one with other decisions than those that are shown.
function isWanted(asked, replica) {
  return asked === state.asked && !(state.paused && replica === state.shown);
}

// Ours, not the router's: the console has where.
function fault(error) {
  console.error(error);
  return `This page could not show what the router said (${error.message}).`;
}

function show(seen) {
  overview.show(seen);
  replicas.show(seen, scores);
  decisions.show(seen.decisions);
}

function lost() {
  if (state.away) return;
  state.away = true;
  document.body.dataset.state = "away";
  const since = state.heardAt ?? new Date();
  const shown = state.heardAt ? "What is shown is from then; " : "";
  note(by("away"), `The router has not answered since ${clock(since)}. ${shown}it is asked again every two seconds.`);
  say(by("readiness"), "no answer");
  by("readiness").className = "pill bad";
}

function freshness() {
  const age = state.heard === null ? null : performance.now() - state.heard;
  const old = age === null ? "" : age < 3000 && !state.away ? "live" : `${millis(age)} old`;
  say(by("freshness"), state.paused ? `paused, ${old === "live" ? "just now" : old}` : old);
}

async function turn() {
  try {
    if (!state.paused && !document.hidden) await refresh();
  } finally {
    setTimeout(turn, state.away ? EVERY_AWAY : EVERY);
  }
}

// === Keys and buttons ===

function pause() {
  state.paused = !state.paused;
  by("pause").setAttribute("aria-pressed", String(state.paused));
  say(by("pause"), state.paused ? "Go on" : "Pause");
  freshness();
}

function pressed(event) {
  const typing = event.target.closest?.("input, dialog");
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "p") pause();
  else if (event.key === "/") by("find").focus();
  else return;
  event.preventDefault();
}

by("pause").addEventListener("click", pause);
by("why-close").addEventListener("click", () => by("why").close());
by("why").addEventListener("close", () => go({ why: null }));
by("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  go({ why: by("ask-id").value.trim() });
});
document.addEventListener("keydown", pressed);
document.addEventListener("visibilitychange", () => document.hidden || state.paused || refresh());
window.addEventListener("hashchange", follow);

setInterval(freshness, 500);
follow();
turn();
