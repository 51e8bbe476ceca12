// Where the frames of one session are put on the time axis of the player: closer together than they
// were captured, in the order in which they are shown. Times are seconds. Why is told in player.js,
// when they are put there in pace.js.

/**
 * From one picture to the next. Chromium draws a video only as often as its frames are due if that
 * is a whole number of screen refreshes, and then a frame that has just missed its turn waits for the
 * next; slower than 4 frames a second that may be a quarter of a second. This is short, and a whole
 * number of refreshes on no usual screen (50, 60, 75, 90, 100, 120, 144, 165, 240 Hz).
 */
export const STEP = 0.047;
/** Where frames come quicker than that, they are so much of their time apart. */
const MOST_OF_PERIOD = 0.8;
/** A frame that is said to last no longer than this does not say how long it lasts. */
const NO_PERIOD = 0.002;
/** H.264 lets no more frames be decoded before one that is shown before them. */
export const MOST_REORDERED = 16;
/** A frame is decoded so long before it is shown, so that none is shown before it is decoded. */
const ROOM = MOST_REORDERED * STEP;
/** Decode times rise by no more than that: a player lets go of what is decoded too far apart. */
const DECODE_STEP = 1.5 * STEP;
/** Decode times rise by no less: some ticks. */
const LEAST = 0.0001;
/** Frames whose place is remembered, for those that are shown between them. */
const KEPT = 2 * MOST_REORDERED;

export class Axis {
  #places = [];
  #newest = ROOM;
  #decode = 0;

  constructor() {
    /** How many frames were decoded before one that is shown before them, at most. */
    this.depth = 0;
  }

  /** The time of the newest frame. */
  get newest() {
    return this.#newest;
  }

  /** Frames are missing: the next one is a keyframe, and nothing goes between those before. */
  interrupt() {
    this.#places = [];
  }

  /**
   * Where this frame of readFrames() goes: `{decode, shown}`. Null if it is shown before everything
   * that is known, as the frames that lead in to a keyframe at which one joins: it cannot be decoded.
   */
  place(frame) {
    const later = this.#places.filter(({ media }) => media > frame.shown);
    const before = this.#places.length - later.length;
    let shown;
    if (later.length === 0) shown = this.#newest += this.#advance(frame);
    else if (before === 0) return null;
    else shown = between(this.#places[before - 1], later[0], frame.shown);
    this.depth = Math.max(this.depth, Math.min(later.length, MOST_REORDERED));
    this.#places.splice(before, 0, { media: frame.shown, shown });
    if (this.#places.length > KEPT) this.#places.shift();
    const most = Math.min(this.#decode + DECODE_STEP, this.#newest - ROOM);
    this.#decode = Math.max(this.#decode + LEAST, most);
    return { decode: this.#decode, shown };
  }

  /** How far behind the newest a newer one goes: frames that are shown between them need room. */
  #advance({ shown, duration }) {
    const last = this.#places.at(-1);
    if (duration <= NO_PERIOD) return STEP;
    const step = Math.min(STEP, MOST_OF_PERIOD * duration);
    if (last === undefined || this.depth === 0) return step;
    const frames = Math.round((shown - last.media) / duration);
    return step * Math.min(MOST_REORDERED, Math.max(1, frames));
  }
}

function between(one, other, media) {
  const part = (media - one.media) / (other.media - one.media);
  return one.shown + (other.shown - one.shown) * part;
}
