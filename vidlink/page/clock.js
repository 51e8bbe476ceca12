// The server's clock, as well as it can be known here: NTP's four stamps (RFC 5905 section 8) and
// the answer that came back quickest. Built on the monotonic clock, so that setting this
// computer's clock changes nothing. Asking is the business of connection.js.

const KEPT = 8;
/** An answer that contradicts the best one by more than this says that the clocks have moved. */
const MOVED_US = 50_000;

export class ServerClock {
  #samples = [];
  #offsetUs = 0;

  /** Whether the server has been heard at all; until then `nowUs` is this computer's time. */
  get known() {
    return this.#samples.length > 0;
  }

  /** Microseconds since the epoch by this computer, never stepping back. */
  localUs() {
    return Math.round((performance.timeOrigin + performance.now()) * 1000);
  }

  /** Microseconds since the epoch by the server. */
  nowUs() {
    return this.localUs() + this.#offsetUs;
  }

  /** Take an answer to `clock`: asked at `t0`, received by the server at `t1`, sent at `t2`. */
  answered({ t0, t1, t2 }, t3 = this.localUs()) {
    const sample = { offset: (t1 - t0 + (t2 - t3)) / 2, trip: Math.max(0, t3 - t0 - (t2 - t1)) };
    const best = this.#best();
    const doubt = best === null ? Infinity : best.trip / 2 + sample.trip / 2 + MOVED_US;
    if (best !== null && Math.abs(sample.offset - best.offset) > doubt) this.#samples = [];
    this.#samples.push(sample);
    if (this.#samples.length > KEPT) this.#samples.shift();
    this.#offsetUs = this.#best().offset;
  }

  /** Forget what was learnt on an earlier connection; the offset is kept until the next answer. */
  restart() {
    this.#samples = [];
  }

  #best() {
    return this.#samples.reduce(
      (best, sample) => (best === null || sample.trip < best.trip ? sample : best),
      null,
    );
  }
}
