// Looking back: the sessions of one sentinel. One of them is played by film.js.

import * as api from "./api.js";
import { element, setAttribute, setText } from "./dom.js";
import { Film } from "./film.js";
import { atLeast, begin, missingWords, showAway } from "./gaps.js";
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
  #film;
  #readAt = -Infinity;
  #reading = false;
  #status = null;
  #asOf = null;

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
    return `Recordings of ${words.isolated(this.name)}`;
  }

  setStatus(status) {
    this.#status = status;
    setText(this.nameText, this.name);
    setAttribute(this.nameText, "title", this.name);
    this.#on.changed();
  }

  /** Play this session; null: none. */
  async open(sessionId) {
    if (this.#open === sessionId) return;
    this.#film.stop();
    this.#mark(sessionId);
    if (sessionId === null) return;
    try {
      const session = await api.session(this.#sentinelId, sessionId, this.#abort.signal);
      if (this.#open === sessionId) this.#film.play(session);
    } catch (error) {
      const text = this.#words(error);
      if (this.#open === sessionId) this.#film.refuse(sessionId, text);
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
    this.#film.stop();
    this.root.remove();
  }

  #build() {
    this.nameText = element("h1", { class: "name", tabindex: "-1" }, this.#sentinelId);
    this.#film = new Film(recordingsHash(this.#sentinelId));
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
      this.#film.root, this.trouble,
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
      this.#dropGone(page);
      if (this.#order.length <= page.sessions.length) this.#setNext(page.next);
      this.#asOf = Date.now() * 1000;
      setText(this.trouble, this.#order.length === 0 ? "Nothing has been recorded yet." : "");
    } catch (error) {
      this.#doubt(error);
    }
    this.#reading = false;
  }

  /** Sessions that the first page would have named are gone if it does not. */
  #dropGone({ sessions, next }) {
    const ids = new Set(sessions.map(({ sessionId }) => sessionId));
    const oldest = next === null ? -Infinity : Math.min(...sessions.map(begin));
    for (const row of this.#order.filter(({ session }) => begin(session) > oldest)) {
      if (ids.has(row.session.sessionId)) continue;
      row.node.remove();
      row.away.remove();
      this.#rows.delete(row.session.sessionId);
      this.#order.splice(this.#order.indexOf(row), 1);
    }
    showAway(this.#order);
  }

  /** The list cannot be read: what it says is as of the last time, and nothing is said to be live. */
  #doubt(error) {
    const text = this.#words(error);
    const since = this.#asOf === null ? "" : ` The list is as of ${words.timeOfDay(this.#asOf)}.`;
    setText(this.trouble, words.sentence(text) + since);
    for (const { node, session, state } of this.#order) {
      if (session.state !== "live") continue;
      setText(state, "Was live");
      setAttribute(node, "data-state", "unknown");
    }
  }

  async #readOlder() {
    this.more.disabled = true;
    try {
      this.#setNext((await this.#page(this.#next)).next);
    } catch (error) {
      this.#doubt(error);
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
    Promise.all(workers).catch((error) => this.#doubt(error));
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
    this.#place(row);
    const time = begin(session);
    setText(row.begin, words.moment(time));
    setAttribute(row.begin, "datetime", words.machineMoment(time));
    setText(row.length, session.endTime === null
      ? "–" : words.length((session.endTime - time) / 1e6));
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
    if (sessionId === this.#open) setAttribute(row.play, "aria-current", "true");
    return row;
  }

  /** Newest first, by the time that is shown; that of a session may change when it is filled. */
  #place(row) {
    const time = begin(row.session);
    if (row.placedAt === time) return;
    row.placedAt = time;
    const others = this.#order.filter((each) => each !== row);
    const found = others.findIndex(({ session }) => begin(session) < time);
    const at = found < 0 ? others.length : found;
    this.body.insertBefore(row.node, others[at]?.node ?? null);
    row.node.after(row.away);
    this.#order = others.toSpliced(at, 0, row);
  }

  #showGaps(row, session) {
    const number = session.gaps.length;
    setText(row.gaps, number === 0 ? "none" : `${atLeast(session)}${words.count(number, "gap")}`);
    setAttribute(row.gaps, "data-gaps", number);
    setText(row.missing, missingWords(session));
  }

  #mark(sessionId) {
    for (const id of [this.#open, sessionId]) {
      const row = this.#rows.get(id);
      if (row) setAttribute(row.play, "aria-current", id === sessionId ? "true" : null);
    }
    this.#open = sessionId;
  }

  /** What went wrong, for a person; anything but a refusal is a mistake of ours and goes on. */
  #words(error) {
    if (this.#abort.signal.aborted) return "";
    if (!(error instanceof api.ApiError)) throw error;
    return error.message;
  }
}
