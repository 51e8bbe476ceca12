// Looking back: the sessions of one sentinel, and one of them in a plain <video controls>.

import * as api from "./api.js";
import { element, setAttribute, setText } from "./dom.js";
import { gapList, missingWords, showAway, timeBar } from "./gaps.js";
import { watchHash } from "./list.js";
import * as words from "./words.js";

const PAGE = 50;
/** Sessions that are asked for their gaps at the same time. */
const AT_ONCE = 4;
/** The list is read again so often while it can be seen. */
const REFRESH_MS = 10_000;

/** Where the recordings of a sentinel are, or one of its sessions. */
export function recordingsHash(sentinelId, sessionId = null) {
  const base = `#/recordings/${encodeURIComponent(sentinelId)}`;
  return sessionId === null ? base : `${base}/${encodeURIComponent(sessionId)}`;
}

/** `on` has `changed()`, for when the name changes. */
export class RecordingsView {
  #sentinelId;
  #on;
  #abort = new AbortController();
  #rows = new Map();
  #order = [];
  #next = null;
  #open = null;
  #playing = null;
  #readAt = -Infinity;
  #reading = false;
  #status = null;

  constructor(sentinelId, on) {
    this.#sentinelId = sentinelId;
    this.#on = on;
    this.#build();
    this.#read();
  }

  get name() {
    return this.#status?.name || this.#sentinelId;
  }

  get summary() {
    return `Recordings of ${this.name}`;
  }

  setStatus(status) {
    this.#status = status;
    setText(this.nameText, this.name);
    this.#on.changed();
  }

  /** Play this session; null: none. */
  async open(sessionId) {
    if (this.#open === sessionId) return;
    this.#stopPlaying();
    this.#mark(sessionId);
    if (sessionId === null) return;
    try {
      const session = await api.session(this.#sentinelId, sessionId, this.#abort.signal);
      if (this.#open === sessionId) this.#play(session);
    } catch (error) {
      this.#say(error);
    }
  }

  /** To be called about once a second while the page can be seen. */
  check() {
    if (performance.now() - this.#readAt > REFRESH_MS) this.#read();
  }

  focus() {
    this.nameText.focus({ preventScroll: true });
  }

  close() {
    this.#abort.abort();
    this.#stopPlaying();
    this.root.remove();
  }

  #build() {
    this.nameText = element("h1", { class: "name", tabindex: "-1" }, this.#sentinelId);
    this.player = element("div", { class: "film", hidden: true });
    this.body = element("tbody");
    this.trouble = element("p", { class: "notice", role: "status" });
    this.more = element("button", { type: "button", hidden: true }, "Show older");
    this.more.addEventListener("click", () => this.#readOlder());
    const heads = ["Started", "Length", "Size", "State", "Gaps", "Recording"];
    this.root = element(
      "section",
      { class: "recordings", "aria-label": "Recordings", "data-sentinel": this.#sentinelId },
      element("a", { class: "back", href: "#/" }, "All sentinels"),
      element(
        "header", {}, this.nameText, element("span", { class: "id" }, this.#sentinelId),
        element("span", { class: "kind" }, "Recordings"),
        element("a", { class: "button", href: watchHash(this.#sentinelId) }, "Watch live"),
      ),
      this.player, this.trouble,
      element(
        "div", { class: "scroller" },
        element(
          "table", { class: "sessions", "aria-label": "Sessions" },
          element("thead", {}, element("tr", {}, ...heads.map(
            (head) => element("th", { scope: "col" }, head),
          ))),
          this.body,
        ),
        this.more,
      ),
    );
  }

  async #read() {
    if (this.#reading) return;
    this.#reading = true;
    this.#readAt = performance.now();
    try {
      const page = await this.#page(null);
      if (this.#order.length <= page.sessions.length) this.#setNext(page.next);
      setText(this.trouble, this.#order.length === 0 ? "Nothing has been recorded yet." : "");
    } catch (error) {
      this.#say(error);
    }
    this.#reading = false;
  }

  async #readOlder() {
    this.more.disabled = true;
    try {
      this.#setNext((await this.#page(this.#next)).next);
    } catch (error) {
      this.#say(error);
    }
    this.more.disabled = false;
  }

  #setNext(next) {
    this.#next = next;
    this.more.hidden = next === null;
  }

  async #page(after) {
    const page = await api.sessions(this.#sentinelId, after, PAGE, this.#abort.signal);
    const waiting = page.sessions.map((session) => this.#put(session)).filter((row) => row.asks);
    showAway(this.#order);
    const workers = Array.from({ length: AT_ONCE }, () => this.#askGaps(waiting));
    Promise.all(workers).catch((error) => this.#say(error));
    return page;
  }

  async #askGaps(waiting) {
    for (let row = waiting.shift(); row !== undefined; row = waiting.shift()) {
      const { sessionId } = row.session;
      this.#showGaps(row, await api.session(this.#sentinelId, sessionId, this.#abort.signal));
    }
  }

  #put(session) {
    const known = this.#rows.get(session.sessionId);
    const row = known ?? this.#newRow(session);
    row.asks = known === undefined || session.segmentCount !== row.session.segmentCount
      || session.state !== row.session.state;
    row.session = session;
    const begin = session.startTime ?? session.startedTime;
    setText(row.begin, words.moment(begin));
    setAttribute(row.begin, "datetime", words.machineMoment(begin));
    setText(row.length, session.endTime === null
      ? "–" : words.length((session.endTime - begin) / 1e6));
    setText(row.size, words.size(session.size));
    setText(row.state, words.SESSION_STATES[session.state] ?? session.state);
    setAttribute(row.node, "data-state", session.state);
    const url = api.recordingUrl(session);
    row.play.hidden = row.download.hidden = session.segmentCount === 0;
    setAttribute(row.download, "href", url);
    return row;
  }

  #newRow(session) {
    const { sessionId } = session;
    const row = {
      begin: element("time"),
      length: element("td", { class: "length" }),
      size: element("td", { class: "size" }),
      state: element("td", { class: "state" }),
      gaps: element("td", { class: "gaps" }, "…"),
      missing: element("span", { class: "missing" }),
      away: element("tr", { class: "away", hidden: true }, element("td", { colspan: "6" })),
      play: element("a", { href: recordingsHash(this.#sentinelId, sessionId) }, "Play"),
      download: element("a", { download: true }, "Download"),
    };
    row.node = element(
      "tr", { "data-session": sessionId },
      element("th", { scope: "row" }, row.begin, row.missing), row.length, row.size, row.state, row.gaps,
      element("td", { class: "actions" }, row.play, " ", row.download),
    );
    this.#rows.set(sessionId, row);
    this.#place(row, session.startedTime);
    if (sessionId === this.#open) setAttribute(row.play, "aria-current", "true");
    return row;
  }

  /** Newest first. */
  #place(row, startedTime) {
    const found = this.#order.findIndex((each) => each.session.startedTime < startedTime);
    const at = found < 0 ? this.#order.length : found;
    this.body.insertBefore(row.node, this.#order[at]?.node ?? null);
    row.node.after(row.away);
    this.#order.splice(at, 0, row);
  }

  #showGaps(row, { gaps }) {
    setText(row.gaps, gaps.length === 0 ? "none" : words.count(gaps.length, "gap"));
    setAttribute(row.gaps, "data-gaps", gaps.length);
    setText(row.missing, missingWords(gaps));
  }

  #mark(sessionId) {
    for (const id of [this.#open, sessionId]) {
      const row = this.#rows.get(id);
      if (row) setAttribute(row.play, "aria-current", id === sessionId ? "true" : null);
    }
    this.#open = sessionId;
  }

  #play(session) {
    const begin = session.startTime ?? session.startedTime;
    const video = element("video", {
      controls: true, playsinline: true, preload: "metadata", src: api.recordingUrl(session),
      "aria-label": `Recording of ${this.#sentinelId}, ${words.moment(begin)}`,
    });
    const place = element("span", { class: "place" });
    const show = () => setText(place, words.moment(begin + video.currentTime * 1e6));
    video.addEventListener("timeupdate", show);
    video.addEventListener("error", () => setText(this.trouble, "This recording cannot be played."));
    video.muted = true; // It has no sound; said to be muted it may play without a click.
    video.play().catch(() => {}); // Where a click is wanted first, the controls are there.
    this.player.replaceChildren(video, timeBar(session), element(
      "div", { class: "about" },
      element("strong", {}, session.name || session.sentinelId),
      element("span", { class: "id" }, session.sentinelId), place,
      element("a", { class: "button", href: recordingsHash(this.#sentinelId) }, "Close"),
      gapList(session.gaps),
    ));
    show();
    setAttribute(this.player, "data-session", session.sessionId);
    this.player.hidden = false;
    this.#playing = video;
  }

  #stopPlaying() {
    this.#playing?.pause();
    this.#playing?.removeAttribute("src");
    this.#playing?.load();
    this.#playing = null;
    this.player.replaceChildren();
    this.player.hidden = true;
  }

  #say(error) {
    if (this.#abort.signal.aborted) return;
    if (!(error instanceof api.ApiError)) throw error;
    setText(this.trouble, error.message);
  }
}
