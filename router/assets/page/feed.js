// What the router says, asked for from its own pages.
//
// Bounds: an answer has PATIENCE; scores of a large pool are asked for less often, since each answer names every replica.

const PATIENCE = 5000;
const RECENT = 30;
const POOLS_SCORED = 4;
const LARGE = 300;
const LARGE_EVERY = 5000;

// The router answered, but not with the page.
export class Refused extends Error {}

export async function ask(path, options = {}) {
  const answer = await fetch(path, { ...options, cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
  const body = await answer.json().catch(() => null);
  if (!answer.ok) throw new Refused(body?.error?.message ?? `${path}: ${answer.status} ${answer.statusText}`);
  return body;
}

export const explanation = (id) => ask(`/debug/decisions/${encodeURIComponent(id)}`);

const PAGES = ["router", "endpoints", "agents", "lane", "pools"];

// Every page that the picture is made of; one that this router does not have is null. Throws where it does not answer.
export async function picture(replica) {
  const decisions = `decisions?limit=${RECENT}` + (replica ? `&endpoint=${encodeURIComponent(replica)}` : "");
  const names = [...PAGES, decisions];
  const asked = await Promise.allSettled(names.map((name) => ask(`/debug/${name}`)));
  const lost = asked.find(({ reason }) => reason && !(reason instanceof Refused));
  if (lost) throw lost.reason;
  const [router, endpoints, agents, lane, pools, decided] = asked.map(({ value }) => value ?? null);
  return { router, endpoints, agents, lane, pools, decisions: decided, at: performance.now() };
}

// Where a short new request would go now: the total of each replica, by address.
export class Scores {
  constructor() {
    this.known = new Map();
    this.asked = -Infinity;
    this.busy = false;
  }

  async refresh(pools, replicas) {
    const every = replicas > LARGE ? LARGE_EVERY : 0;
    if (this.busy || performance.now() - this.asked < every) return;
    [this.busy, this.asked] = [true, performance.now()];
    try {
      this.known = await this.weighed(pools);
    } finally {
      this.busy = false;
    }
  }

  async weighed(pools) {
    const fresh = new Map();
    const scored = (pools ?? []).filter(({ serves }) => serves?.length > 0).slice(0, POOLS_SCORED);
    for (const { serves } of scored) {
      const body = JSON.stringify({ model: serves[0], prompt: "x", max_tokens: 16 });
      const headers = { "content-type": "application/json" };
      const path = "/debug/explain?path=/v1/completions";
      // Without an answer its replicas have no score; what is wrong shows elsewhere.
      const weighed = await ask(path, { method: "POST", body, headers }).catch(() => null);
      for (const { address, verdict, total } of weighed?.then?.endpoints ?? []) {
        fresh.set(address, { verdict, total: verdict === "candidate" ? total : null, model: serves[0] });
      }
    }
    return fresh;
  }

  of(address) {
    return this.known.get(address);
  }
}
