// Watching one sentinel: its screen and what can be asked of it. Playing is screen.js and player.js.

import { element, setAttribute, setText } from "./dom.js";
import { recordingsHash } from "./recordings.js";
import { Screen } from "./screen.js";
import * as wire from "./wire.js";
import * as words from "./words.js";

const FRAMERATES = [0.2, 0.5, 1, 2, 5];
const NOTICE_MS = 15_000;
/** A rate that was asked for is shown so long, whatever the list says, before the list is right. */
const SETTLE_MS = 5000;

/**
 * `on` has: `send(text)`; `rejoin()` to subscribe again; `changed()` when name or state change.
 */
export class WatchView {
  #sentinelId;
  #on;
  #may = [];
  #connected = false;
  #status = undefined;
  #noticeTimer = 0;
  #askedAt = -Infinity;
  #screen;

  constructor(sentinelId, clock, on) {
    this.#sentinelId = sentinelId;
    this.#on = on;
    this.#screen = new Screen(sentinelId, clock, {
      rejoin: () => on.rejoin(),
      notice: (text) => this.notice(text),
      changed: () => on.changed(),
    });
    this.#build();
  }

  get name() {
    return this.#status?.name || this.#sentinelId;
  }

  /** "desk-12, live": what a person is told when it changes. */
  get summary() {
    return `${words.isolated(this.name)}: ${words.STATES[this.#screen.state]}`;
  }

  setStatus(status) {
    this.#status = status;
    this.#screen.setStatus(status);
    this.#showControls();
    this.#on.changed();
  }

  setConnected(connected, may) {
    this.#connected = connected;
    this.#may = may;
    this.#screen.setConnected(connected);
    this.#showControls();
  }

  take(message) {
    if (message.type === "error") this.#refused(message);
    else this.#screen.take(message);
  }

  wake() {
    this.#screen.wake();
  }

  refresh() {
    this.#screen.refresh();
  }

  check() {
    this.#screen.check();
  }

  /** Not to be let watch stays so; anything else is said once. */
  #refused({ code, message }) {
    if (code === "forbidden") this.#screen.refuse(message);
    this.notice(words.sentence(message));
  }

  /** Say something for a while. */
  notice(text) {
    setText(this.noticeText, text);
    clearTimeout(this.#noticeTimer);
    this.#noticeTimer = setTimeout(() => setText(this.noticeText, ""), NOTICE_MS);
  }

  focus() {
    this.#screen.nameText.focus({ preventScroll: true });
  }

  close() {
    clearTimeout(this.#noticeTimer);
    this.#screen.close();
    this.root.remove();
  }

  #build() {
    this.keyframe = element("button", { type: "button", class: "keyframe" }, "Request keyframe");
    this.keyframe.addEventListener("click", () => this.#requestKeyframe());
    this.rate = element("select", { id: "framerate" });
    this.rateLabel = element("label", { for: "framerate" }, "Frames a second");
    this.rate.addEventListener("change", () => this.#changeRate());
    const whole = element("button", { type: "button" }, "Full screen");
    whole.addEventListener("click", () => this.#fullScreen());
    this.recordingText = element("span", { class: "recording" });
    this.noticeText = element("p", { class: "notice", role: "status" });
    this.root = element(
      "section", { class: "watch", "aria-label": "Live picture" },
      element("a", { class: "back", href: "#/" }, "All sentinels"),
      this.#screen.root,
      element(
        "div", { class: "controls" },
        this.keyframe,
        this.rateLabel, this.rate,
        element("a", { class: "button", href: recordingsHash(this.#sentinelId) }, "Recordings"),
        whole, this.recordingText, this.noticeText,
      ),
    );
    this.#showRates(null);
  }

  #showControls() {
    const online = this.#status != null && this.#status.state !== "offline";
    const may = this.#may.includes("control");
    for (const control of [this.keyframe, this.rateLabel, this.rate]) control.hidden = !may;
    this.keyframe.disabled = this.rate.disabled = !(this.#connected && online);
    const recording = this.#connected ? this.#status?.recording : "unknown";
    setText(this.recordingText, this.#status == null ? "" : words.RECORDING[recording] ?? "");
    setAttribute(this.recordingText, "data-recording", recording ?? "none");
    if (performance.now() - this.#askedAt > SETTLE_MS) {
      this.#showRates(this.#status?.framerate ?? null);
    }
  }

  /** The usual rates, and the one there is if it is none of them. */
  #showRates(framerate) {
    const rates = [...FRAMERATES];
    if (framerate !== null && !rates.includes(framerate)) rates.push(framerate);
    const options = rates.sort((a, b) => a - b).map((each) => words.rate(each));
    if (framerate === null) options.unshift("–");
    const present = [...this.rate.options].map((option) => option.value);
    if (present.join() !== options.join()) {
      this.rate.replaceChildren(...options.map((text) => element("option", { value: text }, text)));
    }
    const value = framerate === null ? "–" : words.rate(framerate);
    if (this.rate.value !== value) this.rate.value = value;
  }

  #changeRate() {
    const framerate = Number(this.rate.value);
    if (!(framerate > 0)) return;
    this.#askedAt = performance.now();
    this.#on.send(wire.changeFramerate(this.#sentinelId, framerate));
    this.notice(`Asked for ${words.rate(framerate)} frames a second`);
  }

  #requestKeyframe() {
    this.#on.send(wire.requestKeyframe(this.#sentinelId));
    this.notice("Asked for a keyframe");
  }

  #fullScreen() {
    if (document.fullscreenElement !== null) document.exitFullscreen();
    else this.#screen.root.requestFullscreen().catch((error) => this.notice(error.message));
  }
}
