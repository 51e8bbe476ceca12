// One sentinel's picture and its name, in one frame that is made for it and thrown away with it: no
// picture can end up under another name. Follows the sentinel from session to session; the last
// picture stays until the next one is decoded. The controls around it are watch.js.

import { element, setAttribute, setText } from "./dom.js";
import { Player, canPlay } from "./player.js";
import { Rhythm } from "./rhythm.js";
import * as words from "./words.js";

/** The frames that the rate shown is counted from: of so many seconds or frame times. */
const RATE_SECONDS = 5;
const RATE_FRAMES = 4;
/** Waits after failures of the player in a row, in milliseconds; the last one goes on. */
const RETRY_MS = [0, 1000, 3000, 10_000];
/** A player that showed pictures for so long has not failed in a row with the one before. */
const STEADY_MS = 10_000;

/**
 * `on` has: `rejoin()` to subscribe again; `notice(text)` for something a person should know;
 * `changed(state)` when the state in words changes.
 */
export class Screen {
  #sentinelId;
  #clock;
  #on;
  #status = undefined;
  #connected = false;
  #rhythm = new Rhythm();
  #session = undefined;
  #player = null;
  #next = null;
  #frame = null;
  #shownAt = 0;
  #times = [];
  #failures = 0;
  #revealedAt = Infinity;
  #retryTimer = 0;
  #skipped = null;
  #lastEnd = null;
  #state = "unknown";
  #trouble = null;

  constructor(sentinelId, clock, on) {
    this.#sentinelId = sentinelId;
    this.#clock = clock;
    this.#on = on;
    this.#build();
  }

  get state() {
    return this.#state;
  }

  /** What the list says of this sentinel; null if it is not in it, undefined if there is no list. */
  setStatus(status) {
    this.#status = status;
    for (const [node, text] of [
      [this.nameText, status?.name || this.#sentinelId], [this.groupText, status?.group ?? ""],
    ]) {
      setText(node, text);
      setAttribute(node, "title", text);
    }
    this.refresh();
  }

  setConnected(connected) {
    this.#connected = connected;
    this.refresh();
  }

  /** A message about this sentinel; segments of anything but the session shown are dropped. */
  take(message) {
    switch (message.type) {
      case "subscribed": return this.#subscribed(message);
      case "init": return this.#current(message)?.init(message.data);
      case "segment": return this.#segment(message);
      case "skipped": return this.#noteSkipped(message);
      case "session.ended": return this.refresh();
    }
  }

  /** The picture is not to be had, for a reason that stays. */
  refuse(text) {
    this.#trouble = `${words.sentence(text)}.`;
    this.refresh();
  }

  /** The page can be seen again. */
  wake() {
    this.#player?.wake();
    this.#next?.wake();
    this.refresh();
  }

  /** To be called several times a second while the page can be seen. */
  refresh() {
    const now = this.#judge();
    if (now !== this.#state) {
      this.#state = now;
      setAttribute(this.root, "data-state", now);
      this.#on.changed(now);
    }
    setText(this.stateText, words.STATES[now].toUpperCase());
    setText(this.ageText, this.#ageWords());
    setText(this.rateText, this.#rateWords());
    setText(this.veil, this.#veilWords());
    this.veil.hidden = this.veil.textContent === "";
  }

  /** To be called once a second while the page can be seen. */
  check() {
    this.#player?.check();
    this.#next?.check();
  }

  close() {
    clearTimeout(this.#retryTimer);
    for (const player of [this.#player, this.#next]) this.#drop(player);
    this.#player = this.#next = null;
    this.root.remove();
  }

  #build() {
    this.nameText = element("h1", { class: "name", tabindex: "-1" });
    this.groupText = element("span", { class: "group" });
    this.stateText = element("span", { class: "state" });
    this.ageText = element("span", { class: "age" });
    this.rateText = element("span", { class: "rate" });
    this.veil = element("p", { class: "veil" });
    this.stage = element("div", { class: "stage" }, this.veil);
    this.stage.addEventListener("click", () => this.wake());
    const title = element(
      "figcaption", {},
      element("span", { class: "lamp", "aria-hidden": "true" }), this.stateText, this.nameText,
      element("span", { class: "id" }, this.#sentinelId), this.groupText,
      element("span", { class: "figures" }, this.ageText, this.rateText),
    );
    this.root = element(
      "figure",
      { class: "screen", "data-sentinel": this.#sentinelId, "data-state": this.#state },
      title, this.stage,
    );
    setText(this.nameText, this.#sentinelId);
  }

  #subscribed(session) {
    clearTimeout(this.#retryTimer);
    this.#session = session;
    this.#rhythm = new Rhythm();
    this.#lastEnd = null;
    this.#drop(this.#next);
    this.#next = null;
    this.#trouble = null;
    if (session.sessionId != null) {
      if (canPlay(session.mime)) this.#next = this.#newPlayer(session);
      else this.#trouble = `This browser cannot show ${session.mime}.`;
    }
    this.refresh();
  }

  #newPlayer(session) {
    const player = new Player(session, {
      shown: () => this.#reveal(player, session),
      picture: (frame) => this.#picture(player, frame),
      blocked: () => { this.#trouble = "This browser wants a click before it plays."; },
      astray: () => this.#on.rejoin(),
      failed: (reason) => this.#failed(player, reason),
    });
    player.video.className = "next";
    setAttribute(player.video, "aria-label", `Screen of ${this.#sentinelId}`);
    this.stage.prepend(player.video);
    return player;
  }

  #segment(segment) {
    const player = this.#current(segment);
    if (player === null) return;
    this.#endSkip(segment);
    this.#rhythm.arrived(performance.now(), segment);
    this.#lastEnd = segment.startTimeUs + segment.durationMs * 1000;
    player.segment(segment);
  }

  /** The player of the session that this message belongs to; null for anything old. */
  #current({ sentinelId, sessionId }) {
    if (sentinelId !== this.#sentinelId || sessionId !== this.#session?.sessionId) return null;
    return this.#next ?? this.#player;
  }

  /** The first picture of the new player is there: now the old one may go. */
  #reveal(player, session) {
    if (player !== this.#next) return;
    this.#drop(this.#player);
    this.#player = player;
    this.#next = null;
    this.#revealedAt = performance.now();
    player.video.className = "shown";
    setAttribute(this.root, "data-session", session.sessionId);
  }

  #picture(player, frame) {
    if (player !== this.#player) return;
    this.#frame = frame;
    this.#trouble = null;
    this.#shownAt = performance.now();
    this.#times.push(this.#shownAt);
    const window = 1000 * Math.max(RATE_SECONDS, RATE_FRAMES * frame.period);
    while (this.#times[0] < this.#shownAt - window) this.#times.shift();
    setAttribute(this.root, "data-picture-time-us", frame.startTimeUs);
    setAttribute(this.root, "data-sequence", frame.sequence);
    this.refresh();
  }

  #failed(player, reason) {
    if (performance.now() - this.#revealedAt > STEADY_MS) this.#failures = 0;
    this.#revealedAt = Infinity;
    const wait = RETRY_MS[Math.min(this.#failures, RETRY_MS.length - 1)];
    this.#failures += 1;
    this.#trouble = `Joining again: ${reason}.`;
    if (player === this.#next) {
      this.#drop(player);
      this.#next = null;
    }
    this.#session = undefined;
    clearTimeout(this.#retryTimer);
    this.#retryTimer = setTimeout(() => this.#on.rejoin(), wait);
    this.refresh();
  }

  #drop(player) {
    if (player === null) return;
    player.close();
    player.video.remove();
  }

  #noteSkipped({ sessionId, reason }) {
    if (sessionId === this.#session?.sessionId) this.#skipped = reason;
  }

  /** The first segment behind what was skipped tells how long that was. */
  #endSkip({ startTimeUs }) {
    if (this.#skipped === null) return;
    const reason = words.SKIPPED[this.#skipped] ?? this.#skipped;
    this.#skipped = null;
    if (this.#lastEnd === null) return;
    const seconds = (startTimeUs - this.#lastEnd) / 1e6;
    if (seconds >= 0.05) this.#on.notice(`${words.age(seconds)} not shown (${reason})`);
  }

  #judge() {
    if (!this.#connected) return "lost";
    // The list is up to a second behind: a sentinel that has just come may not be in it yet.
    const state = this.#status?.state ?? (this.#frame === null ? "unknown" : "live");
    if (state !== "live" || this.#frame === null) return state;
    const patience = this.#rhythm.patienceMs(this.#status?.framerate ?? null);
    return performance.now() - this.#shownAt > patience ? "stale" : "live";
  }

  #ageWords() {
    const takenUs = this.#frame?.startTimeUs ?? this.#status?.lastSegmentTime ?? null;
    if (takenUs === null) return "no picture yet";
    const age = words.age((this.#clock.nowUs() - takenUs) / 1e6);
    return this.#frame === null ? `last picture ${age} ago` : `picture ${age} old`;
  }

  #rateWords() {
    const [first] = this.#times;
    const count = this.#times.length;
    if (count < 2 || this.#state !== "live") return "";
    return `${((count - 1) * 1000 / (this.#times[count - 1] - first)).toFixed(1)} fps`;
  }

  #veilWords() {
    if (this.#trouble !== null) return this.#trouble;
    if (this.#player !== null) return "";
    if (this.#status === null) {
      return "No screen of this id has been seen yet. It is shown here as soon as it connects.";
    }
    if (this.#session === undefined) return "Asking for the picture…";
    if (this.#session.sessionId == null) {
      return "Offline. The picture appears here as soon as this sentinel connects.";
    }
    if (this.#next?.waitsForKeyframe) return "Waiting for the first keyframe…";
    return "Opening the picture…";
  }
}
