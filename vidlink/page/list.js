// The list of sentinels: rows that are patched where they stand, so that focus, selection and scroll
// stay, whatever the number. Which one is open is app.js.

import { element, setAttribute, setText } from "./dom.js";
import * as words from "./words.js";

/** A live row says only that its picture is newer than this: the server tells ages in such steps. */
const RECENT_SECONDS = 10;

const ORDER = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });

const compare = (a, b) =>
  ORDER.compare(a.status.group, b.status.group)
  || ORDER.compare(a.label, b.label)
  || (a.status.sentinelId < b.status.sentinelId ? -1 : 1);

/** Where a sentinel is shown live. */
export const watchHash = (sentinelId) => `#/watch/${encodeURIComponent(sentinelId)}`;

export class SentinelList {
  #clock;
  #rows = new Map();
  #sorted = [];
  #filter = "";
  #open = null;
  #connected = false;
  #heardUs = null;
  #loaded = false;

  constructor(clock) {
    this.#clock = clock;
    this.#build();
  }

  /** Take a `sentinels` message: the whole list, or what has changed. */
  take({ full, sentinels }) {
    if (full) this.#keepOnly(new Set(sentinels.map((status) => status.sentinelId)));
    for (const status of sentinels) this.#put({ group: "", name: "", ...status });
    this.#loaded = true;
    this.#settle();
  }

  /** What is known of this sentinel; null if it is not in the list, undefined before there is one. */
  status(sentinelId) {
    return this.#rows.get(sentinelId)?.status ?? (this.#loaded ? null : undefined);
  }

  /** How many sentinels send what does not reach the disk. */
  get troubled() {
    return this.#sorted.filter(({ status }) => status.recording === "trouble").length;
  }

  /** Mark the row that is open; null for none. */
  mark(sentinelId) {
    for (const id of [this.#open, sentinelId]) {
      const row = this.#rows.get(id);
      if (row) setAttribute(row.link, "aria-current", id === sentinelId ? "true" : null);
    }
    this.#open = sentinelId;
  }

  /**
   * Whether what the list says is true now; otherwise states are unknown and ages count on, and it is
   * said what they were when the server was last heard, at `heardUs`.
   */
  setConnected(connected, heardUs) {
    this.#connected = connected;
    this.#heardUs = heardUs;
    setAttribute(this.root, "data-connected", connected);
    this.refresh();
    this.#settle();
  }

  /** To be called about once a second while the page can be seen. */
  refresh() {
    for (const row of this.#sorted) if (!row.node.hidden) this.#showAge(row);
  }

  focusFilter() {
    this.filterField.focus();
    this.filterField.select();
  }

  /** Put the focus back on the row that was open, where the list had made way for it. */
  focusOpened() {
    if (document.activeElement === document.body) this.#rows.get(this.#open)?.link.focus();
  }

  #build() {
    this.filterField = element("input", {
      type: "search", id: "filter", placeholder: "Filter by name, group, id or state",
      "aria-label": "Filter sentinels", autocomplete: "off", spellcheck: "false",
      "aria-keyshortcuts": "/",
    });
    this.summary = element("p", { class: "summary", role: "status" });
    this.body = element("tbody");
    const heads = ["State", "Name", "Group", "Picture", "Recording"];
    const table = element(
      "table", { class: "sentinels", "aria-label": "Sentinels" },
      element("thead", {}, element("tr", {}, ...heads.map(
        (head) => element("th", { scope: "col" }, head),
      ))),
      this.body,
    );
    this.empty = element("p", { class: "empty" }, "Waiting for the list…");
    this.scroller = element("div", { class: "scroller" }, table, this.empty);
    this.root = element(
      "section", { class: "list", "aria-label": "Sentinels" },
      element("div", { class: "search" }, this.filterField, this.summary), this.scroller,
    );
    this.filterField.addEventListener("input", () => this.#setFilter(this.filterField.value));
    this.filterField.addEventListener("keydown", (event) => this.#filterKey(event));
    this.body.addEventListener("click", (event) => this.#click(event));
    this.body.addEventListener("keydown", (event) => this.#key(event));
    this.body.addEventListener("focusin", (event) => this.#roam(event.target));
  }

  #put(status) {
    const known = this.#rows.get(status.sentinelId);
    const row = known ?? this.#newRow(status.sentinelId);
    const moved = known === undefined
      || known.status.group !== status.group || known.status.name !== status.name;
    if (moved && known !== undefined) this.#sorted.splice(this.#sorted.indexOf(row), 1);
    row.status = status;
    row.label = status.name || status.sentinelId;
    row.words = [row.label, status.sentinelId, status.group, status.state].join("\n").toLowerCase();
    if (moved) this.#insert(row);
    this.#show(row);
  }

  #newRow(sentinelId) {
    const link = element("a", { href: watchHash(sentinelId), tabindex: "-1" });
    const row = {
      link,
      lamp: element("span", { class: "lamp", "aria-hidden": "true" }),
      state: element("span", { class: "state" }),
      was: element("span", { class: "was" }),
      groupText: element("span"),
      age: element("td", { class: "age" }),
      recording: element("td", { class: "recording" }),
    };
    row.node = element(
      "tr", { "data-sentinel": sentinelId },
      element("td", { class: "how" }, row.lamp, row.state, row.was),
      element("th", { scope: "row" }, link, element("span", { class: "id" }, sentinelId)),
      element("td", { class: "group" }, row.groupText), row.age, row.recording,
    );
    if (sentinelId === this.#open) setAttribute(link, "aria-current", "true");
    this.#rows.set(sentinelId, row);
    return row;
  }

  #insert(row) {
    let low = 0;
    let high = this.#sorted.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (compare(this.#sorted[middle], row) < 0) low = middle + 1;
      else high = middle;
    }
    const focused = row.node.contains(document.activeElement);
    this.body.insertBefore(row.node, this.#sorted[low]?.node ?? null);
    this.#sorted.splice(low, 0, row);
    if (focused) row.link.focus({ preventScroll: true });
  }

  #keepOnly(ids) {
    for (const [id, row] of this.#rows) {
      if (ids.has(id)) continue;
      row.node.remove();
      this.#rows.delete(id);
      this.#sorted.splice(this.#sorted.indexOf(row), 1);
    }
  }

  #show(row) {
    const { status } = row;
    setText(row.link, row.label);
    setAttribute(row.link, "title", row.label);
    setText(row.groupText, status.group);
    setAttribute(row.groupText, "title", status.group);
    setAttribute(row.node, "data-state", status.state);
    setAttribute(row.node, "data-recording", status.recording);
    row.node.hidden = !row.words.includes(this.#filter);
    this.#showAge(row);
  }

  #showAge(row) {
    const { state, lastSegmentTime, recording } = row.status;
    setText(row.state, this.#connected ? words.STATES[state] : words.STATES.unknown);
    setText(row.was, this.#connected ? "" : `was ${(words.STATES[state] ?? state).toLowerCase()}`);
    setText(row.recording, this.#connected ? words.RECORDING_SHORT[recording] ?? "" : "–");
    if (lastSegmentTime == null) return setText(row.age, "none");
    const seconds = (this.#clock.nowUs() - lastSegmentTime) / 1e6;
    const recent = this.#connected && state === "live" && seconds < RECENT_SECONDS;
    setText(row.age, recent ? `< ${RECENT_SECONDS} s` : words.length(seconds));
  }

  #setFilter(text) {
    this.#filter = text.trim().toLowerCase();
    for (const row of this.#sorted) row.node.hidden = !row.words.includes(this.#filter);
    this.refresh();
    this.#settle();
  }

  /** What depends on all rows: the counts, the way in for the keyboard, the word for "nothing". */
  #settle() {
    const shown = this.#visible();
    const states = { live: 0, stale: 0, offline: 0 };
    for (const row of this.#sorted) states[row.status.state] += 1;
    const counts = Object.entries(states).map(([state, n]) => `${n} ${state}`).join(", ");
    const part = this.#filter === "" ? "" : `${shown.length} of ${this.#sorted.length} shown: `;
    setText(this.summary, part + (this.#connected ? counts : this.#unknownWords(counts)));
    this.empty.hidden = shown.length > 0;
    if (this.#sorted.length > 0) setText(this.empty, "Nothing fits this filter.");
    else if (this.#loaded) setText(this.empty, "No sentinel has connected yet.");
    if (shown.length > 0 && !shown.some((row) => row.link.tabIndex === 0)) {
      this.#roam((this.#rows.get(this.#open) ?? shown[0]).link);
    }
  }

  #unknownWords(counts) {
    if (this.#heardUs === null || !this.#loaded) return "states unknown";
    return `states unknown since ${words.timeOfDay(this.#heardUs)}; then ${counts}`;
  }

  #visible() {
    return this.#sorted.filter((row) => !row.node.hidden);
  }

  #click(event) {
    if (event.target.closest("a") === null) event.target.closest("tr")?.querySelector("a").click();
  }

  /** One link of the list is in the tab order; arrow keys choose which. */
  #roam(link) {
    for (const row of this.#sorted) if (row.link !== link) row.link.tabIndex = -1;
    link.tabIndex = 0;
  }

  #key(event) {
    const shown = this.#visible();
    const here = shown.findIndex((row) => row.link === event.target);
    const page = Math.max(1, Math.floor(this.scroller.clientHeight / 40) - 1);
    const last = shown.length - 1;
    const target = {
      ArrowUp: here - 1, ArrowDown: here + 1, Home: 0, End: last,
      PageUp: Math.max(0, here - page), PageDown: Math.min(last, here + page),
    }[event.key];
    if (target === undefined || here < 0) return;
    event.preventDefault();
    if (target < 0) this.focusFilter();
    else shown[Math.min(target, last)].link.focus();
  }

  #filterKey(event) {
    if (event.key === "ArrowDown") {
      event.preventDefault();
      this.#visible()[0]?.link.focus();
    } else if (event.key === "Enter") {
      this.#visible()[0]?.link.click();
    } else if (event.key === "Escape") {
      event.stopPropagation();
      this.filterField.value = "";
      this.#setFilter("");
    }
  }
}
