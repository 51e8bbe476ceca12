// How often something comes of a session, and so for how long nothing may come before the picture is
// stale. Segments hold one frame or many seconds, and some senders send by the handful. The rule is the
// server's (vidlink/relay/stream.py); here it is asked of what is on the screen.

/** Nothing is stale sooner. */
const LEAST_MS = 3000;
/** So many segments or frames may be overdue. */
const SEGMENTS = 3;
/** And so many of the pauses that it makes. What is shorter is no pause, nor is what its rate explains; one
 * alone in a time is no habit. */
const PAUSES = 2;
const PAUSE_MS = 1000;
const PAUSE_FRAMES = 1.5;
const HABIT_MS = 60_000;

export class Rhythm {
  #declaredMs = 0;
  #arrivedAt = null;
  #pauses = [0, 0];
  #pausedAt = -Infinity;

  /** A segment has come that is declared to last so long, at so many frames a second. */
  arrived(now, { durationMs, framerate }) {
    const pause = this.#arrivedAt === null ? 0 : now - this.#arrivedAt;
    const declaredMs = Math.max(durationMs, 1000 / framerate);
    if (pause > Math.max(PAUSE_MS, PAUSE_FRAMES * Math.max(declaredMs, this.#declaredMs))) {
      this.#pauses = [this.#isHabit(now - pause) ? this.#pauses[1] : 0, pause];
      this.#pausedAt = now;
    }
    this.#arrivedAt = now;
    this.#declaredMs = declaredMs;
  }

  /**
   * For so long a picture is not stale after it was shown, of a sentinel that has been asked for so many
   * frames a second: a slower rate may be under way. null: nobody has asked.
   */
  patienceMs(wanted) {
    const habit = this.#isHabit(this.#arrivedAt) ? Math.min(...this.#pauses) : 0;
    const wantedMs = wanted === null ? 0 : 1000 / wanted;
    return Math.max(LEAST_MS, SEGMENTS * Math.max(this.#declaredMs, wantedMs), PAUSES * habit);
  }

  #isHabit(now) {
    return now - this.#pausedAt <= HABIT_MS;
  }
}
