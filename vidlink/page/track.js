// The media of one session: segments as they come are taken apart into frames, each with what is known
// of its picture, and each is written anew where it goes on the player's axis.

import { Axis } from "./axis.js";
import { adoptInit, readFrames, writeFrame } from "./fmp4.js";

export class Track {
  #axis = new Axis();
  #media = null;
  #lead = 0;
  #next = null;

  /** Whether there has been an initialization segment. */
  get isKnown() {
    return this.#media !== null;
  }

  /** Whether nothing can be shown before a keyframe comes. */
  get waitsForKeyframe() {
    return this.#next === null;
  }

  /** How many frames were decoded before one that is shown before them, at most. */
  get depth() {
    return this.#axis.depth;
  }

  /** Take the initialization segment; what is to be appended is in its place. */
  init(data) {
    this.#media = adoptInit(data);
  }

  /** The frames of a segment of wire.js; none if something before it is missing. */
  read({ data, startTimeUs, sequence, keyframe }) {
    const isNext = sequence === this.#next;
    this.#next = isNext || keyframe ? sequence + 1 : null;
    if (this.#next === null) return [];
    const frames = readFrames(data, this.#media);
    const { decode, shown } = frames[0];
    // Start times go with decoding; so much later than that keyframes are shown.
    if (keyframe) this.#lead = shown - decode;
    for (const [n, frame] of frames.entries()) {
      const after = frame.shown - this.#lead - decode;
      frame.isFirst = n === 0 && !isNext;
      frame.about = {
        startTimeUs: startTimeUs + Math.round(after * 1e6), sequence, period: frame.duration,
        keyframe: n === 0 && keyframe,
      };
    }
    return frames;
  }

  /** Where this frame goes, as axis.js says. To be asked once for each, in their order. */
  place(frame) {
    if (frame.isFirst) this.#axis.interrupt();
    return this.#axis.place(frame);
  }

  /** What is to be appended of a frame, and what feed.js shall know of it. */
  write(frame, { decode, shown }, duration) {
    const data = writeFrame(frame, { decode, shown, duration }, this.#media);
    return [data, { time: shown, ...frame.about }];
  }
}
