// When each frame of a session is due to be decoded and shown. A segment of one frame is shown when it
// arrives. Where several come at once, or in another order than they are shown in, they are given out
// as far apart as they were captured, so that each of them is seen, and what has piled up is made
// good a little quicker than time goes. Times are milliseconds on the clock of the caller.

/** What has piled up is caught up with by gaps of no less than this part of what they should be. */
const QUICKEST = 0.8;
/** So far behind, or half of the newest segment, frames may be; then all that waits is due at once. */
const MOST_BEHIND_MS = 1000;

export class Pace {
  #queue = [];
  #free = -Infinity;

  constructor() {
    /** Whether frames are given out one by one; otherwise all of them are due when they come. */
    this.isPaced = false;
  }

  /** Whether all that came was given out. */
  get idle() {
    return this.#queue.length === 0;
  }

  /** Frames of one segment, each with a `duration` in seconds, in the order of decoding. */
  push(frames, now) {
    this.isPaced ||= frames.length > 1;
    let due = Math.max(now, this.#free);
    const long = 1000 * frames.reduce((sum, { duration }) => sum + duration, 0);
    const behind = due - now;
    if (!this.isPaced || behind > Math.max(MOST_BEHIND_MS, long / 2)) {
      for (const waiting of this.#queue) waiting.due = now;
      due = now;
    }
    const part = Math.max(QUICKEST, 1 - (due - now) / Math.max(long, 1));
    for (const frame of frames) {
      this.#queue.push({ frame, due });
      if (this.isPaced) due += part * 1000 * frame.duration;
    }
    this.#free = due;
  }

  /** The frames that are due, in their order; each is given out once. */
  take(now) {
    const count = this.#queue.findIndex(({ due }) => due > now);
    return this.#queue.splice(0, count < 0 ? this.#queue.length : count).map(({ frame }) => frame);
  }

  /** In how many milliseconds the next one is due; null if there is none. */
  wait(now) {
    return this.#queue.length === 0 ? null : Math.max(0, this.#queue[0].due - now);
  }
}
