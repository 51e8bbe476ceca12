// One session of one sentinel in one <video>, through Media Source Extensions. What is shown around
// it, and the change from one session to the next, is screen.js.
//
// A <video> is made to show frames when they are due; here each is to be shown when it arrives.
// So frames are not put where their media time says, but one STEP apart, however late they come,
// and the playhead runs freely ahead of them all: every frame is overdue when it arrives and is
// shown at once, no stall leaves a hole, and there is nothing to catch up with. Because the newest
// frame is stretched far beyond the playhead, that never comes to an end of the media either. Times
// here are seconds on that axis; `startTimeUs` tells when a frame was taken.

import { Feed } from "./feed.js";
import { locate, move, readInit, stretch } from "./fmp4.js";

/**
 * From one frame to the next. Chromium draws a video only as often as its frames are due if that is
 * a whole number of screen refreshes, and then a frame that has just missed its turn waits for the
 * next; slower than 4 frames a second that may be a quarter of a second. This is short, and a whole
 * number of refreshes on no usual screen (50, 60, 75, 90, 100, 120, 144, 165, 240 Hz).
 */
const STEP = 0.047;
/** Where frames come quicker than that, they are so much of their time apart. */
const MOST_OF_PERIOD = 0.8;
/** So far ahead of the newest frame the playhead is put. It gains almost a second per second. */
const AHEAD = 1;
/** Nearer than that to a frame that arrives it may not be. */
const LEAST_AHEAD = 0.3;
/** So long the newest frame is stretched; the playhead may get half as far ahead. */
const STRETCH = 4 * 3600;
/** A join waits this long for the rest of what the server has, once the first keyframe is here. */
const JOIN_PATIENCE_MS = 300;
/** Joining anew to put the playhead right is not done sooner. */
const REJOIN_MS = 5000;
/** A first picture that does not come is sought again after this, then after twice as long, ... */
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
 * framerate, period}`; `blocked()` when the browser wants a click before it plays; `astray()` when
 * the session should be joined anew to be shown in time; `failed(reason)` once, when nothing more
 * will come of it.
 */
export class Player {
  #session;
  #on;
  #feed;
  #media = null;
  #held = null;
  #lastTime = 0;
  #next = null;
  #phase = "joining";
  #target = 0;
  #shown = false;
  #shownTime = -1;
  #url = null;
  #joinTimer = 0;
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
    return this.#next === null;
  }

  /** The initialization segment. */
  init(data) {
    this.#guard(() => {
      this.#media = readInit(data);
      this.#feed.push(data, null);
    });
  }

  /** A segment of this session, as parsed by wire.js. Its bytes are the player's from now on. */
  segment(segment) {
    if (this.#media === null || segment.late) return;
    if (segment.sequence !== this.#next && !segment.keyframe) {
      this.#next = null;
      return;
    }
    this.#next = segment.sequence + 1;
    this.#guard(() => {
      if (this.#phase === "joining") this.#hold(segment);
      else this.#append(segment, longest(this.#media));
    });
  }

  /** The page can be seen again, or time has jumped: show the newest frame at once. */
  wake() {
    if (this.#phase !== "playing") return;
    this.#play();
    this.#steer();
  }

  /** To be called about once a second while the page can be seen. */
  check() {
    if (this.#phase !== "playing") return;
    this.#steer();
    if (this.video.paused) this.#play();
    const now = performance.now();
    if (this.video.paused || this.#feed.edge.time <= this.#shownTime) this.#stuckSince = now;
    if (now - this.#stuckSince < STUCK_MS) return;
    this.#fail("the picture stands still although new ones arrive");
  }

  /** Let go of everything. The <video> is the caller's to remove. */
  close() {
    this.#phase = "over";
    clearTimeout(this.#joinTimer);
    this.video.cancelVideoFrameCallback(this.#videoFrame);
    URL.revokeObjectURL(this.#url);
    this.#feed.close();
    this.video.removeAttribute("src");
    this.video.load();
  }

  // Joining: from a keyframe up to what is newest.

  /**
   * Keep the newest segment back. A seek shows every frame that is said to last until then, one
   * after the other, so only the last one before the picture is first shown may be stretched.
   */
  #hold(segment) {
    if (this.#held !== null) this.#append(this.#held, STEP);
    this.#held = segment;
    clearTimeout(this.#joinTimer);
    if (segment.sequence >= (this.#session.liveSequence ?? 0)) this.#join();
    else this.#joinTimer = setTimeout(() => this.#guard(() => this.#join()), JOIN_PATIENCE_MS);
  }

  /** What the server had when we subscribed is here: play it once the decoder has it. */
  #join() {
    this.#phase = "starting";
    this.#append(this.#held, longest(this.#media));
    this.#held = null;
    this.#target = this.#lastTime;
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
      this.#seek();
      this.#insist(2 * wait);
    }, wait);
  }

  #play() {
    this.video.play().catch((error) => {
      if (error.name === "NotAllowedError") this.#on.blocked();
    });
  }

  /** Put a segment one step behind the last one; its newest frame lasts `seconds`. */
  #append(segment, seconds) {
    const { first, newest, end } = locate(segment.data, this.#media);
    const period = end - newest;
    const time = this.#lastTime + Math.min(STEP, MOST_OF_PERIOD * period);
    this.#lastTime = time + newest - first;
    move(segment.data, time, this.#media);
    const { startTimeUs, sequence, framerate, keyframe } = segment;
    const frame = { time, edge: this.#lastTime, startTimeUs, sequence, framerate, keyframe, period };
    this.#feed.push(stretch(segment.data, seconds, this.#media), frame);
  }

  #appended() {
    if (this.#phase === "playing") this.#steer();
    else if (this.#phase === "starting" && this.#feed.idle) this.#start();
  }

  // The playhead: ahead of all frames.

  #seek() {
    this.video.currentTime = this.#feed.edge.edge + AHEAD;
  }

  /**
   * Join anew if the playhead is where it is of no use: it was stopped for long, or nears the end
   * of what a frame can be stretched to. A seek would show every frame since the last keyframe.
   */
  #steer() {
    if (this.#phase !== "playing" || this.video.seeking) return;
    const lead = this.video.currentTime - this.#feed.edge.edge;
    if (lead > LEAST_AHEAD && lead < longest(this.#media) / 2) return;
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
    if (!this.#shown) {
      // The first picture shown may be the oldest there is.
      if (this.#phase !== "playing" || frame.edge < this.#target) return;
      this.#shown = true;
      this.#on.shown();
    }
    const within = Math.max(0, mediaTime - frame.time);
    this.#on.picture({ ...frame, startTimeUs: frame.startTimeUs + Math.round(within * 1e6) });
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

/** The longest that a frame can be stretched: its duration has 32 bits. */
function longest({ timescale }) {
  return Math.min(STRETCH, 0xffffffff / timescale);
}
