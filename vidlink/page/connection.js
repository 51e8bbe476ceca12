// The socket to the server: opened, registered, watched for silence, and opened again for ever.
// What is said on it is wire.js; what is done with it is app.js.

import * as wire from "./wire.js";

/** Back-off between attempts, in milliseconds: doubled from the first to the last, with jitter. */
const FIRST_WAIT_MS = 500;
const LAST_WAIT_MS = 15_000;
/** A connection that held so long starts the back-off anew when it is lost. */
const STEADY_MS = 5000;
/** After so long without a word from the server it is asked for the time. */
const QUIET_MS = 5000;
/** An answer, or a handshake with registration, that takes longer is given up. */
const PATIENCE_MS = 5000;
/** The same where there is reason for doubt: the page was hidden, asleep or off the network. */
const DOUBT_PATIENCE_MS = 2000;
/** The clock is asked for so often anyway, and as often in a row at the beginning. */
const CLOCK_MS = 60_000;
const FIRST_CLOCKS = 4;
const TICK_MS = 1000;
/** Ticks that are further apart than this: the page was throttled or the computer slept. */
const SLEPT_MS = 10_000;

const NOT_AUTHENTICATED = 4401;

/** What the codes of docs/reference/wire.md mean to the person who watches. */
const CLOSED = {
  1001: "the server is going away",
  1009: "a message was too large",
  4400: "the server did not understand this page",
  4401: "you are not logged in",
  4403: "you may not do this",
  4408: "registration took too long",
  4429: "this page asks for too much",
  4431: "this page is too slow for what it watches",
  4503: "the server has no room for another connection",
};
const REFUSED = {
  403: "you may not watch here",
  429: "the server asks for fewer attempts",
  503: "the server has no room for another connection",
};

/**
 * `on` has: `phase()` when `phase`, `reason` or `retryAt` changes; `registered(message)`;
 * `message(message)` for everything else but `clock`. `phase` is "connecting", "connected" or
 * "waiting"; in the last, `reason` says in words what was wrong and `retryAt` is the time of the
 * next attempt on the clock of `performance.now()`. It is "ended" when whoever is here has to log in
 * first; then nothing is tried before `resume()`. `heardUs` is when the server was last heard on the
 * connection that was lost, on its own clock; null if there was none.
 */
export class Connection {
  #socketUrl;
  #meUrl;
  #clock;
  #on;
  #socket = null;
  #watched = null;
  #attempt = 0;
  #retryTimer = 0;
  #since = 0;
  #heardAt = 0;
  #probedAt = null;
  #patience = PATIENCE_MS;
  #clockAt = 0;
  #clocks = 0;
  #tickedAt = 0;
  #told = null;

  constructor({ socketUrl, meUrl, clock, on }) {
    this.#socketUrl = socketUrl;
    this.#meUrl = meUrl;
    this.#clock = clock;
    this.#on = on;
    this.phase = "connecting";
    this.reason = "";
    this.retryAt = 0;
    this.heardUs = null;
  }

  /** Connect, now and whenever the connection is lost, until the page goes. */
  start() {
    this.#tickedAt = performance.now();
    setInterval(() => this.#tick(), TICK_MS);
    addEventListener("online", () => this.nudge());
    addEventListener("offline", () => this.nudge());
    addEventListener("pageshow", () => this.nudge());
    this.#connect();
  }

  /** Watch this sentinel and no other, now and on every connection to come; null: none. */
  watch(sentinelId) {
    if (this.#watched !== null && this.#watched !== sentinelId) {
      this.send(wire.unsubscribe(this.#watched));
    }
    this.#watched = sentinelId;
    if (sentinelId !== null) this.send(wire.subscribe(sentinelId));
  }

  /** Send a text made by wire.js. False, and nothing done, while there is no connection. */
  send(text) {
    if (this.phase !== "connected") return false;
    this.#socket.send(text);
    return true;
  }

  /** There is reason to look at once whether the connection is still good, or to try again. */
  nudge() {
    if (this.phase === "waiting") this.#connect();
    else if (this.phase === "connected") this.#probe(DOUBT_PATIENCE_MS);
  }

  /** Somebody has logged in: go on. */
  resume() {
    if (this.phase === "ended") this.#connect();
  }

  #connect() {
    clearTimeout(this.#retryTimer);
    const socket = new WebSocket(this.#socketUrl, wire.SUBPROTOCOL);
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    this.#since = performance.now();
    this.#told = null;
    let opened = false;
    socket.onopen = () => {
      opened = true;
      socket.send(wire.register("vidlink-page"));
    };
    socket.onmessage = (event) => this.#received(event.data);
    socket.onclose = (event) => {
      this.#lost(this.#told ?? CLOSED[event.code] ?? "the connection was lost");
      if (!opened || event.code === NOT_AUTHENTICATED) this.#askWhy();
    };
    this.#enter("connecting");
  }

  #enter(phase) {
    this.phase = phase;
    this.#on.phase();
  }

  #received(data) {
    this.#heardAt = performance.now();
    this.#probedAt = null;
    let message;
    try {
      message = typeof data === "string" ? wire.parseText(data) : wire.parseMedia(data);
    } catch (error) {
      if (!(error instanceof wire.WireError)) throw error;
      console.error(`VidLink: ${error.message}`);
      this.#abandon(4400, "the server said something this page does not know; reload it");
      return;
    }
    if (message.type === "clock") this.#clockAnswered(message);
    else if (message.type === "registered") this.#registered(message);
    else this.#on.message(message);
    if (message.type === "error" && message.about === undefined) this.#told = message.message;
  }

  #registered(message) {
    this.#since = performance.now();
    this.#clock.restart();
    this.#clocks = 0;
    this.#enter("connected");
    this.#askClock();
    this.#on.registered(message);
    if (this.#watched !== null) this.send(wire.subscribe(this.#watched));
  }

  #askClock() {
    this.#clockAt = performance.now();
    this.send(wire.askClock(this.#clock.localUs()));
  }

  #clockAnswered(message) {
    this.#clock.answered(message);
    this.#clocks += 1;
    if (this.#clocks < FIRST_CLOCKS) this.#askClock();
  }

  #tick() {
    const now = performance.now();
    const slept = now - this.#tickedAt > SLEPT_MS;
    this.#tickedAt = now;
    if (this.phase === "connecting" && now - this.#since > PATIENCE_MS) {
      this.#abandon(1000, "the server does not answer");
    } else if (this.phase === "connected") {
      if (this.#probedAt !== null && now - this.#probedAt > this.#patience) {
        this.#abandon(1000, "the server has fallen silent");
      } else if (slept) this.#probe(DOUBT_PATIENCE_MS);
      else if (now - this.#heardAt > QUIET_MS) this.#probe(PATIENCE_MS);
      else if (now - this.#clockAt > CLOCK_MS) this.#askClock();
    }
  }

  #probe(patience) {
    if (this.#probedAt !== null) return;
    this.#probedAt = performance.now();
    this.#patience = patience;
    this.#askClock();
  }

  /** Give up a socket without waiting for it: on a dead network its end may take minutes. */
  #abandon(code, reason) {
    const socket = this.#socket;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close(code);
    this.#lost(reason);
  }

  #lost(reason) {
    const now = performance.now();
    if (this.phase === "connected" && now - this.#since > STEADY_MS) this.#attempt = 0;
    const wait = Math.min(FIRST_WAIT_MS * 2 ** this.#attempt, LAST_WAIT_MS);
    const jittered = wait * (0.5 + Math.random() / 2);
    this.#attempt = Math.min(this.#attempt + 1, 10);
    if (this.phase === "connected") this.heardUs = this.#clock.nowUs() - 1000 * (now - this.#heardAt);
    this.#socket = null;
    this.#probedAt = null;
    this.reason = reason;
    this.retryAt = now + jittered;
    this.#retryTimer = setTimeout(() => this.#connect(), jittered);
    this.#enter("waiting");
  }

  /** A browser hides why a handshake was refused; plain HTTP tells. */
  async #askWhy() {
    let reason = "the server cannot be reached";
    try {
      const answer = await fetch(this.#meUrl, { cache: "no-store" });
      if (answer.status === 401) return this.#end();
      reason = REFUSED[answer.status] ?? "the server refused the connection";
    } catch {
      // No answer at all: the sentence above.
    }
    if (this.phase === "connected" || this.phase === "ended") return;
    this.reason = reason;
    this.#on.phase();
  }

  #end() {
    if (this.phase !== "waiting") return;
    clearTimeout(this.#retryTimer);
    this.#attempt = 0;
    this.#enter("ended");
  }
}
