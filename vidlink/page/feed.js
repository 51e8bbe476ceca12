// One SourceBuffer, the bounded queue before it, and what is known of the frames in it. Where frames
// are put and what is played is player.js.

/** Bytes that may wait for the decoder; at the bound `push` throws and the session is given up. */
const MAX_QUEUE_BYTES = 32 * 1024 * 1024;
/** One append takes at most this much of the queue, and always at least one piece. */
const APPEND_BYTES = 1024 * 1024;
/** Keyframe intervals that are kept; older ones are let go of. */
const KEPT_INTERVALS = 2;

/**
 * `on` has: `appended()` after each append, `failed(reason)` when it cannot go on. A frame is
 * whatever the player knows of it, with `time` (seconds), at which it is shown, and `keyframe`.
 */
export class Feed {
  #source;
  #on;
  #buffer = null;
  #queue = [];
  #queuedBytes = 0;
  #appending = [];
  #frames = [];
  #over = false;

  constructor(source, mime, on) {
    this.#source = source;
    this.#on = on;
    source.addEventListener("sourceopen", () => this.#guard(() => this.#open(mime)), { once: true });
    /** The frame shown last of all that are wholly appended; null before the first. */
    this.edge = null;
  }

  /** Whether everything that was pushed is appended. */
  get idle() {
    return this.#queue.length === 0 && this.#appending.length === 0;
  }

  /** Append these bytes when their turn comes; `frame` is null for what is not a segment. */
  push(data, frame) {
    if (this.#queuedBytes + data.length > MAX_QUEUE_BYTES) {
      throw new Error("the decoder cannot keep up");
    }
    this.#queue.push({ data, frame });
    this.#queuedBytes += data.length;
    this.#pump();
  }

  /** The frame that is shown at this time; null if there is none. */
  frameAt(time) {
    return this.#frames[this.#lastAt(time)] ?? null;
  }

  /** How many frames are shown after this time. */
  countAfter(time) {
    return this.#frames.length - 1 - this.#lastAt(time);
  }

  close() {
    this.#over = true;
    this.#queue = [];
  }

  /** The index of the frame that is shown at this time; -1 if there is none. */
  #lastAt(time) {
    return this.#frames.findLastIndex((frame) => frame.time <= time + 0.001);
  }

  #open(mime) {
    this.#buffer = this.#source.addSourceBuffer(mime);
    this.#buffer.addEventListener("updateend", () => this.#guard(() => this.#updated()));
    this.#pump();
  }

  #pump() {
    if (this.#over || this.#buffer === null || this.#buffer.updating) return;
    if (this.#queue.length === 0 || this.#source.readyState !== "open") return;
    let bytes = 0;
    let count = 0;
    while (count < this.#queue.length && (count === 0 || bytes < APPEND_BYTES)) {
      bytes += this.#queue[count++].data.length;
    }
    const pieces = this.#queue.slice(0, count);
    try {
      this.#buffer.appendBuffer(joined(pieces, bytes));
    } catch (error) {
      if (error.name !== "QuotaExceededError" || !this.#evict()) throw error;
      return; // It goes on when the removal is done.
    }
    this.#queue.splice(0, count);
    this.#queuedBytes -= bytes;
    this.#appending = pieces.map((piece) => piece.frame).filter((frame) => frame !== null);
    // They may be on the screen before the end of the update is heard of.
    for (const frame of this.#appending) this.#frames.splice(this.#lastAt(frame.time) + 1, 0, frame);
  }

  #updated() {
    for (const frame of this.#appending) {
      if (this.edge === null || frame.time > this.edge.time) this.edge = frame;
    }
    this.#appending = [];
    this.#on.appended();
    if (this.#queue.length > 0) this.#pump();
    else if (!this.#over && !this.#buffer.updating) this.#evict();
  }

  /** Let go of whole keyframe intervals before the newest ones. False if there are none. */
  #evict() {
    let keyframe = this.#frames.length;
    for (let kept = 0; kept < KEPT_INTERVALS; kept++) {
      keyframe = this.#frames.findLastIndex((frame, n) => n < keyframe && frame.keyframe);
    }
    if (keyframe <= 0) return false;
    // Removal goes on to the next keyframe behind its end: just before it is exactly to it.
    const { time } = this.#frames[keyframe];
    this.#buffer.remove(0, (this.#frames[keyframe - 1].time + time) / 2);
    this.#frames.splice(0, keyframe);
    return true;
  }

  #guard(action) {
    if (this.#over) return;
    try {
      action();
    } catch (error) {
      this.#on.failed(error.message);
    }
  }
}

function joined(pieces, bytes) {
  if (pieces.length === 1) return pieces[0].data;
  const all = new Uint8Array(bytes);
  let place = 0;
  for (const { data } of pieces) {
    all.set(data, place);
    place += data.length;
  }
  return all;
}
