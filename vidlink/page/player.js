// One session of one sentinel in one <video>, through Media Source Extensions. What is shown around
// it, and the change from one session to the next, is screen.js.
//
// Times are seconds of the session's media time unless a name says otherwise.

import { readInit, stretch } from "./fmp4.js";

/** How long the newest frame may stay without the next one before there is a hole. */
const STRETCH = 60;
/** Bytes that may wait for the decoder; at the bound the session is given up and joined anew. */
const MAX_QUEUE_BYTES = 32 * 1024 * 1024;
/** One append takes at most this much of the queue, and always at least one segment. */
const APPEND_BYTES = 1024 * 1024;
/** The playhead runs this far ahead of where the newest frame is due, so that none waits. */
const AHEAD = 0.03;
/** The playhead is put right when it is this far behind or ahead of where it should be. */
const MAX_BEHIND = 0.06;
const MAX_AHEAD = 1.5;
/** The time in which the quickest segment tells how late segments have to be. */
const PACE_WINDOW = 30;
/** Older media than this behind the playhead is let go of, in pieces of whole keyframe intervals. */
const KEEP_BEHIND = 20;
/** A join waits this long for the rest of what the server has, once the first keyframe is here. */
const JOIN_PATIENCE_MS = 300;
/** Frames that should long be shown and are not: the decoder is stuck. */
const STUCK_SECONDS = 3;

const Source = self.MediaSource ?? self.ManagedMediaSource;

/** Whether this browser can do what the page needs. */
export function isSupported() {
  return Source !== undefined && "requestVideoFrameCallback" in HTMLVideoElement.prototype;
}

/** Whether this browser plays `mime`. */
export function canPlay(mime) {
  return Source.isTypeSupported(mime);
}

/**
 * Plays what it is given, always the newest frame.
 *
 * `session` is the `subscribed` message. `on` has: `shown()` when the first current picture is on
 * the screen; `picture(frame)` for each picture shown, where a frame is `{time, startTimeUs,
 * sequence, framerate, period}`; `blocked()` when the browser wants a click before it plays;
 * `failed(reason)` once, when nothing more will come of it.
 */
export class Player {
  #session;
  #clock;
  #on;
  #source = new Source();
  #buffer = null;
  #media = null;
  #queue = [];
  #queuedBytes = 0;
  #appending = [];
  #frames = [];
  #edge = null;
  #pace = [];
  #next = null;
  #playing = false;
  #target = 0;
  #shown = false;
  #shownTime = -1;
  #closed = false;
  #url = null;
  #joinTimer = 0;
  #frameRequest = 0;
  #stuckSince = null;

  constructor(session, clock, on) {
    this.#session = session;
    this.#clock = clock;
    this.#on = on;
    this.video = document.createElement("video");
    this.video.muted = true;
    this.video.playsInline = true;
    this.video.disableRemotePlayback = true;
    this.video.tabIndex = -1;
    this.video.addEventListener("error", () => this.#fail("the picture cannot be decoded"));
    this.video.addEventListener("waiting", () => this.#steer());
    this.#source.addEventListener("sourceopen", () => this.#open(), { once: true });
    this.#url = URL.createObjectURL(this.#source);
    this.video.src = this.#url;
    this.#awaitFrame();
  }

  /** Whether nothing can be shown before a keyframe comes. */
  get waitsForKeyframe() {
    return this.#next === null;
  }

  /** The initialization segment. */
  init(data) {
    this.#guard(() => {
      this.#media = readInit(data);
      this.#enqueue(data, null);
    });
  }

  /** A segment of this session, as parsed by wire.js. Its bytes are the player's from now on. */
  segment(segment) {
    if (this.#media === null || segment.late || this.#closed) return;
    if (segment.sequence !== this.#next && !segment.keyframe) {
      this.#next = null;
      return;
    }
    this.#next = segment.sequence + 1;
    this.#guard(() => {
      const { data, first, newest, end } = stretch(segment.data, STRETCH, this.#media);
      const { startTimeUs, sequence, framerate, keyframe } = segment;
      this.#timeArrival(newest, startTimeUs, end - newest);
      this.#enqueue(data, {
        time: first, newest, startTimeUs, sequence, framerate, keyframe, period: end - newest,
      });
    });
  }

  /** The page can be seen again, or time has jumped: show the newest frame at once. */
  wake() {
    if (!this.#playing) return;
    this.#play();
    this.#steer();
  }

  /** To be called about once a second while the page can be seen. */
  check() {
    if (!this.#playing) return;
    this.#steer();
    if (this.video.paused || this.#edge.time <= this.#shownTime) {
      this.#stuckSince = null;
      return;
    }
    const now = performance.now();
    this.#stuckSince ??= now;
    if (now - this.#stuckSince < STUCK_SECONDS * 1000) return;
    this.#fail("the picture stands still although new ones arrive");
  }

  /** Let go of everything. The <video> is the caller's to remove. */
  close() {
    this.#closed = true;
    clearTimeout(this.#joinTimer);
    this.video.cancelVideoFrameCallback(this.#frameRequest);
    URL.revokeObjectURL(this.#url);
    this.#queue = [];
    this.video.removeAttribute("src");
    this.video.load();
  }

  #open() {
    this.#guard(() => {
      this.#buffer = this.#source.addSourceBuffer(this.#session.mime);
      this.#buffer.addEventListener("updateend", () => this.#updated());
      this.#pump();
    });
  }

  #enqueue(data, frame) {
    if (this.#queuedBytes + data.length > MAX_QUEUE_BYTES) {
      throw new Error("the decoder cannot keep up");
    }
    this.#queue.push({ data, frame });
    this.#queuedBytes += data.length;
    this.#pump();
  }

  /** Append what waits, if the SourceBuffer takes anything now. */
  #pump() {
    if (this.#closed || this.#buffer === null || this.#buffer.updating) return;
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
      if (error.name !== "QuotaExceededError" || !this.#evict(0)) throw error;
      return;
    }
    this.#queue.splice(0, count);
    this.#queuedBytes -= bytes;
    this.#appending = pieces.map((piece) => piece.frame).filter((frame) => frame !== null);
    // They may be on the screen before the end of the update is heard of.
    this.#frames.push(...this.#appending);
  }

  #updated() {
    this.#edge = this.#appending.at(-1) ?? this.#edge;
    this.#appending = [];
    this.#guard(() => {
      if (this.#playing) this.#steer();
      else this.#consider();
      if (this.#queue.length > 0) this.#pump();
      else this.#evict(KEEP_BEHIND);
    });
  }

  /** Begin to play once what the server had at the time of subscribing is here. */
  #consider() {
    if (this.#edge === null) return;
    clearTimeout(this.#joinTimer);
    if (this.#edge.sequence >= (this.#session.liveSequence ?? 0)) this.#start();
    else this.#joinTimer = setTimeout(() => this.#start(), JOIN_PATIENCE_MS);
  }

  #start() {
    this.#playing = true;
    this.#target = this.#edge.time;
    this.#steer();
    this.#play();
  }

  #play() {
    this.video.play().catch((error) => {
      if (error.name === "NotAllowedError") this.#on.blocked();
    });
  }

  /** Remember how late this segment is against the session's media clock. */
  #timeArrival(newest, startTimeUs, period) {
    const now = performance.now() / 1000;
    const age = (this.#clock.nowUs() - startTimeUs) / 1e6;
    // In a burst the newest frame may be a whole period old already. Only the wall clock knows,
    // and only what it could be is believed of it.
    const known = !this.#playing && this.#clock.known && age > 0 && age < 2 * period + 1;
    this.#pace.push({ at: now, lead: now - newest - (known ? age : 0) });
    while (this.#pace.length > 1 && this.#pace[0].at < now - PACE_WINDOW) this.#pace.shift();
  }

  /** Where the playhead should be now: there the next frame is due when it arrives. */
  #due() {
    let lead = Infinity;
    for (const sample of this.#pace) lead = Math.min(lead, sample.lead);
    return performance.now() / 1000 - lead + AHEAD;
  }

  /** Put the playhead right if it is not where the newest frame is shown. */
  #steer() {
    if (!this.#playing || this.#closed) return;
    const edge = this.#edge.newest;
    const due = Math.min(Math.max(this.#due(), edge), edge + STRETCH - 1);
    const off = this.video.currentTime - due;
    const inside = isInside(this.video.buffered, this.video.currentTime, edge);
    if (inside && off > -MAX_BEHIND && off < MAX_AHEAD) return;
    if (this.video.seeking && inside && Math.abs(off) < MAX_AHEAD) return;
    this.video.currentTime = due;
  }

  /** Let go of whole keyframe intervals that end `behind` the playhead. True if there are any. */
  #evict(behind) {
    if (this.#buffer === null || this.#buffer.updating || !this.#playing) return false;
    const limit = this.video.currentTime - behind;
    let keyframe = 0;
    for (let n = 1; n < this.#frames.length && this.#frames[n].time <= limit; n++) {
      if (this.#frames[n].keyframe) keyframe = n;
    }
    if (keyframe === 0) return false;
    // Removal goes on to the next keyframe behind its end: just before it is exactly to it.
    this.#buffer.remove(0, this.#frames[keyframe].time - 0.001);
    this.#frames.splice(0, keyframe);
    return true;
  }

  #awaitFrame() {
    this.#frameRequest = this.video.requestVideoFrameCallback((_, { mediaTime }) => {
      this.#awaitFrame();
      this.#showed(mediaTime);
    });
  }

  #showed(mediaTime) {
    const frame = this.#frameAt(mediaTime);
    if (frame === null) return;
    if (frame.time > this.#shownTime) this.#stuckSince = null;
    this.#shownTime = frame.time;
    if (!this.#shown) {
      // The first picture shown may be the oldest there is.
      if (!this.#playing || frame.time < this.#target) return;
      this.#shown = true;
      this.#on.shown();
    }
    const within = Math.max(0, mediaTime - frame.time);
    this.#on.picture({ ...frame, startTimeUs: frame.startTimeUs + Math.round(within * 1e6) });
  }

  #frameAt(mediaTime) {
    for (let n = this.#frames.length - 1; n >= 0; n--) {
      if (this.#frames[n].time <= mediaTime + 0.001) return this.#frames[n];
    }
    return null;
  }

  #guard(action) {
    try {
      action();
    } catch (error) {
      this.#fail(error.message);
    }
  }

  #fail(reason) {
    if (this.#closed) return;
    this.#closed = true;
    this.#on.failed(reason);
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

/** Whether `time` lies in the same range as `edge`. */
function isInside(ranges, time, edge) {
  for (let n = 0; n < ranges.length; n++) {
    if (ranges.start(n) <= edge + 0.001 && edge < ranges.end(n)) {
      return ranges.start(n) <= time && time < ranges.end(n);
    }
  }
  return false;
}
