// One session played from its recording, in a plain <video controls>, with its times and gaps; or why it
// is not played.

import * as api from "./api.js";
import { element, setAttribute, setText } from "./dom.js";
import { begin, gapList, timeBar } from "./gaps.js";
import * as words from "./words.js";

export class Film {
  #closeHash;
  #video = null;

  /** `closeHash` is the address at which nothing is played. */
  constructor(closeHash) {
    this.#closeHash = closeHash;
    this.root = element("div", { class: "film", hidden: true });
  }

  play(session) {
    let time = begin(session);
    const video = element("video", {
      controls: true, playsinline: true, preload: "metadata",
      "aria-label": `Recording of ${session.sentinelId}, ${words.moment(time)}`,
    });
    const place = element("span", { class: "place" });
    const refusal = element("p", { class: "notice", role: "status" });
    const show = () => setText(place, words.moment(time + video.currentTime * 1e6));
    video.addEventListener("timeupdate", show);
    const load = async (at) => {
      const { url, startTime } = await api.findRecording(session);
      if (this.#video !== video) return;
      // The first pictures of a session may be such as cannot be shown.
      time = startTime ?? time;
      video.src = url;
      video.currentTime = at;
      show();
      video.play().catch(() => {}); // Where a click is wanted first, the controls are there.
    };
    // Where damage is met the recording breaks off; asked for anew it leaves that out.
    let triesLeft = 1;
    video.addEventListener("error", () => {
      if (triesLeft-- <= 0) return setText(refusal, "This recording cannot be played.");
      load(video.currentTime);
    });
    video.muted = true; // It has no sound; said to be muted it may play without a click.
    show();
    this.#video = video;
    load(0);
    this.#show(session.sessionId, video, timeBar(session), this.#about(
      element("strong", {}, session.name || session.sentinelId),
      element("span", { class: "id" }, session.sentinelId), place, this.#closeLink(), refusal,
      gapList(session),
    ));
  }

  /** Say why a session is not played, until that is dismissed or another one is opened. */
  refuse(sessionId, text) {
    this.#show(sessionId, this.#about(
      element("p", { class: "notice", role: "status" }, words.sentence(text)),
      element("span", { class: "place" }), this.#closeLink(),
    ));
  }

  /** Play nothing, and say nothing. */
  stop() {
    this.#video?.pause();
    this.#video?.removeAttribute("src");
    this.#video?.load();
    this.#video = null;
    this.root.replaceChildren();
    this.root.hidden = true;
  }

  #show(sessionId, ...content) {
    this.root.replaceChildren(...content);
    setAttribute(this.root, "data-session", sessionId);
    this.root.hidden = false;
  }

  #about(...content) {
    return element("div", { class: "about" }, ...content);
  }

  #closeLink() {
    return element("a", { class: "button", href: this.#closeHash }, "Close");
  }
}
