// One session of one sentinel in one <video>, through Media Source Extensions. What is shown around
// it, and the change from one session to the next, is screen.js.
//
// A <video> is made to show frames when they are due; here each is to be shown when it arrives.
// So frames are not put where their media time says, but close together (axis.js), however late they
// come, and the playhead runs freely ahead of them all: every frame is overdue when it is appended and
// is shown at once, no stall leaves a hole, and there is nothing to catch up with. Because the newest
// frame is stretched far beyond the playhead, that never comes to an end of the media either. Of a
// segment of several frames each is appended by itself when its turn has come (pace.js), and so is
// each of those that are decoded in another order than they are shown in: of these a decoder gives one
// away for each that it is given. Times here are seconds on that axis; `startTimeUs` tells when a
// frame was taken.

import { MOST_REORDERED, STEP } from "./axis.js";
import { Feed } from "./feed.js";
import { Pace } from "./pace.js";
import { Track } from "./track.js";

/** So far ahead of the newest frame the playhead is put. It gains almost a second per second. */
const AHEAD = 1;
/** Nearer than that to a frame that arrives it may not be. */
const LEAST_AHEAD = 0.3;
/** So long a frame is stretched; the playhead may get half as far ahead. */
const STRETCH = 4 * 3600;
/** A join waits this long for the rest of what the server has, once the first keyframe is here. */
const JOIN_PATIENCE_MS = 300;
/** Frames that are kept back until then: among them are all that a decoder may still hold back. */
const HELD = 2 * MOST_REORDERED + 1;
/** Joining anew to put the playhead right is not done sooner. */
const REJOIN_MS = 5000;
/** A first picture that does not come is taken as it is, or sought again, after this, then twice that, ... */
const INSIST_MS = 500;
/** A frame that should have been shown for so long and is not: the decoder is stuck. */
const STUCK_MS = 2000;

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
 * the screen; `picture(frame)` for each picture shown, where a frame is `{startTimeUs, sequence,
 * period}`; `blocked()` when the browser wants a click before it plays; `astray()` when
 * the session should be joined anew to be shown in time; `failed(reason)` once, when nothing more
 * will come of it.
 */
export class Player {
  #session;
  #on;
  #feed;
  #track = new Track();
  #pace = new Pace();
  #held = [];
  #phase = "joining";
  #oldest = 0;
  #target = 0;
  #best = null;
  #shown = false;
  #shownTime = -1;
  #url = null;
  #joinTimer = 0;
  #paceTimer = 0;
  #videoFrame = 0;
  #stuckSince = 0;
  #joinedAt = 0;

  constructor(session, on) {
    this.#session = session;
    this.#on = on;
    this.video = document.createElement("video");
    this.video.muted = true;
    this.video.playsInline = true;
    this.video.disableRemotePlayback = true;
    this.video.tabIndex = -1;
    this.video.addEventListener("error", () => this.#fail("the picture cannot be decoded"));
    this.video.addEventListener("waiting", () => this.#steer());
    const source = new Source();
    this.#feed = new Feed(source, session.mime, {
      appended: () => this.#appended(),
      failed: (reason) => this.#fail(reason),
    });
    this.#url = URL.createObjectURL(source);
    this.video.src = this.#url;
    this.#awaitVideoFrame();
  }

  /** Whether nothing can be shown before a keyframe comes. */
  get waitsForKeyframe() {
    return this.#track.waitsForKeyframe;
  }

  /** The initialization segment. Its bytes are the player's from now on. */
  init(data) {
    this.#guard(() => {
      this.#track.init(data);
      this.#feed.push(data, null);
    });
  }

  /** A segment of this session, as parsed by wire.js. */
  segment(segment) {
    if (!this.#track.isKnown || segment.late) return;
    this.#guard(() => {
      const frames = this.#track.read(segment);
      if (frames.length === 0) return;
      if (this.#phase === "joining") return this.#hold(segment.sequence, frames);
      this.#pace.push(frames, performance.now());
      this.#give();
    });
  }

  /** The page can be seen again, or time has jumped: show the newest frame at once. */
  wake() {
    if (this.#phase !== "playing") return;
    this.#stuckSince = performance.now();
    this.#guard(() => this.#give());
    this.#play();
    this.#steer();
  }

  /** To be called about once a second while the page can be seen. */
  check() {
    if (this.#phase !== "playing") return;
    this.#steer();
    if (this.video.paused) this.#play();
    const now = performance.now();
    const most = this.#track.depth > 0 ? MOST_REORDERED : 0;
    if (this.video.paused || this.#feed.countAfter(this.#shownTime) <= most) this.#stuckSince = now;
    if (now - this.#stuckSince < STUCK_MS) return;
    this.#fail("the picture stands still although new ones arrive");
  }

  /** Let go of everything. The <video> is the caller's to remove. */
  close() {
    this.#phase = "over";
    clearTimeout(this.#joinTimer);
    clearTimeout(this.#paceTimer);
    this.video.cancelVideoFrameCallback(this.#videoFrame);
    URL.revokeObjectURL(this.#url);
    this.#feed.close();
    this.video.removeAttribute("src");
    this.video.load();
  }

  // Joining: from a keyframe up to what is newest.

  /**
   * Keep the newest frames back. A seek shows every frame that is said to last until then, one
   * after the other, so only the last ones before the picture is first shown may be stretched.
   */
  #hold(sequence, frames) {
    this.#held.push(...frames);
    while (this.#held.length > HELD) this.#append(this.#held.shift(), STEP);
    clearTimeout(this.#joinTimer);
    if (sequence >= (this.#session.liveSequence ?? 0)) this.#join();
    else this.#joinTimer = setTimeout(() => this.#guard(() => this.#join()), JOIN_PATIENCE_MS);
  }

  /**
   * What the server had when we subscribed is here: play it once the decoder has it. The newest
   * that is shown then is the first that the decoder has not to hold back; it may hold more back.
   */
  #join() {
    this.#phase = "starting";
    const placed = this.#held.map((frame) => [frame, this.#track.place(frame)]);
    const times = placed.flatMap(([, place]) => (place === null ? [] : [place.shown]));
    times.sort((one, other) => other - one);
    const { depth } = this.#track;
    this.#target = times[Math.min(depth, times.length - 1)];
    this.#oldest = times[Math.min(depth > 0 ? MOST_REORDERED : 0, times.length - 1)];
    for (const [frame, place] of placed) {
      if (place === null) continue;
      const duration = place.shown < this.#oldest ? STEP : STRETCH;
      this.#feed.push(...this.#track.write(frame, place, duration));
    }
    this.#held = [];
    this.#pace.isPaced = this.#track.depth > 0;
  }

  #start() {
    this.#phase = "playing";
    this.#joinedAt = this.#stuckSince = performance.now();
    this.#seek();
    this.#play();
    this.#insist(INSIST_MS);
  }

  #insist(wait) {
    this.#joinTimer = setTimeout(() => {
      if (this.#shown || this.#phase !== "playing") return;
      if (this.#best !== null) return this.#reveal(this.#best);
      this.#seek();
      this.#insist(2 * wait);
    }, wait);
  }

  #play() {
    this.video.play().catch((error) => {
      if (error.name === "NotAllowedError") this.#on.blocked();
    });
  }

  // Frames on their way to the decoder.

  /** Append what is due, and see to it that the rest is when its turn comes. */
  #give() {
    clearTimeout(this.#paceTimer);
    for (const frame of this.#pace.take(performance.now())) this.#append(frame, STRETCH);
    this.#pace.isPaced ||= this.#track.depth > 0;
    const wait = this.#pace.wait(performance.now());
    if (wait === null) return;
    this.#paceTimer = setTimeout(() => this.#guard(() => this.#give()), wait);
  }

  #append(frame, seconds) {
    const place = this.#track.place(frame);
    if (place !== null) this.#feed.push(...this.#track.write(frame, place, seconds));
  }

  #appended() {
    if (this.#phase === "playing") this.#steer();
    else if (this.#phase === "starting" && this.#feed.idle) this.#start();
  }

  // The playhead: ahead of all frames.

  #seek() {
    this.video.currentTime = this.#feed.edge.time + AHEAD;
  }

  /**
   * Join anew if the playhead is where it is of no use: it was stopped for long, or nears the end
   * of what a frame can be stretched to. A seek would show every frame since the last keyframe.
   */
  #steer() {
    if (this.#phase !== "playing" || this.video.seeking) return;
    const lead = this.video.currentTime - this.#feed.edge.time;
    if (lead > LEAST_AHEAD && lead < STRETCH / 2) return;
    const now = performance.now();
    if (now - this.#joinedAt < REJOIN_MS) return;
    this.#joinedAt = now;
    this.#on.astray();
  }

  // What is on the screen.

  #awaitVideoFrame() {
    this.#videoFrame = this.video.requestVideoFrameCallback((_, { mediaTime }) => {
      this.#awaitVideoFrame();
      this.#showed(mediaTime);
    });
  }

  #showed(mediaTime) {
    const frame = this.#feed.frameAt(mediaTime);
    if (frame === null) return;
    this.#shownTime = frame.time;
    this.#stuckSince = performance.now();
    if (this.#shown) return this.#on.picture(frame);
    // The first picture shown may be the oldest there is.
    if (this.#phase !== "playing" || frame.time < this.#oldest) return;
    if (frame.time < this.#target) this.#best = frame;
    else this.#reveal(frame);
  }

  #reveal(frame) {
    this.#shown = true;
    this.#on.shown();
    this.#on.picture(frame);
  }

  #guard(action) {
    if (this.#phase === "over") return;
    try {
      action();
    } catch (error) {
      this.#fail(error.message);
    }
  }

  #fail(reason) {
    if (this.#phase === "over") return;
    this.#phase = "over";
    this.#on.failed(reason);
  }
}
