// How often something comes of a session, and so for how long nothing may come before the picture is
// stale. Segments hold one frame or many seconds, and some senders declare other than they do: what
// counts is the longer of what the newest declares and what has been usual.

/** Nothing is stale sooner. */
const LEAST_MS = 3000;
/** So many segments may be overdue. */
const SEGMENTS = 3;
/** What is usual is the median of so many. */
const KEPT = 5;

export class Rhythm {
  #declaredMs = 0;
  #arrivedAt = null;
  #pauses = [];

  /** A segment that is declared to last so long has come. */
  arrived(now, durationMs) {
    this.#declaredMs = durationMs;
    if (this.#arrivedAt !== null) this.#pauses.push(now - this.#arrivedAt);
    if (this.#pauses.length > KEPT) this.#pauses.shift();
    this.#arrivedAt = now;
  }

  /** For so long a picture is not stale after it was shown. */
  get patienceMs() {
    const sorted = [...this.#pauses].sort((one, other) => one - other);
    const usual = sorted[sorted.length >> 1] ?? 0;
    return Math.max(LEAST_MS, SEGMENTS * Math.max(this.#declaredMs, usual));
  }
}
