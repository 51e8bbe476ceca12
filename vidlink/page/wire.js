// What is said on the socket: bytes and text to values, values to text. docs/reference/wire.md is
// the specification. When things are said is the business of connection.js and screen.js.

export const SUBPROTOCOL = "vidlink.v1.binary";

/** A message that is not exactly what the specification says. */
export class WireError extends Error {}

const HEADER_BYTES = 28;
const INIT = 1;
const SEGMENT = 2;
const KEYFRAME = 1;
const LATE = 2;

const SENTINEL_ID = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const SESSION_ID = /^[A-Za-z0-9_-]{16,64}$/;

/** What a proctor may be sent as JSON text. */
const TYPES = new Set([
  "registered", "sentinels", "subscribed", "skipped", "session.ended", "clock", "error",
]);

/**
 * Read a binary frame: an initialization segment or a segment.
 *
 * `startTimeUs` is in microseconds since the epoch, `durationMs` in milliseconds, `framerate` in
 * frames a second; `data` is a view into `buffer`. Throws WireError.
 */
export function parseMedia(buffer) {
  if (buffer.byteLength < HEADER_BYTES) throw new WireError("a binary frame is cut off");
  const view = new DataView(buffer);
  const kind = view.getUint8(0);
  const flags = view.getUint8(1);
  const sessionStart = HEADER_BYTES + view.getUint8(2);
  const dataStart = sessionStart + view.getUint8(3);
  if (kind !== INIT && kind !== SEGMENT) throw new WireError(`kind ${kind} is unknown`);
  const allowed = kind === INIT ? LATE : KEYFRAME | LATE;
  if (flags & ~allowed) throw new WireError(`flags ${flags} are unknown`);
  if (dataStart >= buffer.byteLength) throw new WireError("a binary frame is cut off");
  const sentinelId = ascii(buffer, HEADER_BYTES, sessionStart);
  const sessionId = ascii(buffer, sessionStart, dataStart);
  if (!SENTINEL_ID.test(sentinelId)) throw new WireError("that is no sentinelId");
  if (!SESSION_ID.test(sessionId)) throw new WireError("that is no sessionId");
  const sequence = view.getBigUint64(8);
  const startTimeUs = Number(view.getBigInt64(16));
  if (sequence >= 2n ** 32n) throw new WireError(`sequence ${sequence} is too high`);
  if (!Number.isSafeInteger(startTimeUs)) throw new WireError("a time is out of range");
  return {
    type: kind === INIT ? "init" : "segment",
    sentinelId,
    sessionId,
    sequence: Number(sequence),
    startTimeUs,
    durationMs: view.getUint32(4),
    framerate: view.getUint32(24) / 1000,
    keyframe: (flags & KEYFRAME) !== 0,
    late: (flags & LATE) !== 0,
    data: new Uint8Array(buffer, dataStart),
  };
}

/** Read a text frame: an object whose `type` a proctor knows. Throws WireError. */
export function parseText(text) {
  let message;
  try {
    message = JSON.parse(text);
  } catch {
    throw new WireError("a text frame is not JSON");
  }
  if (typeof message !== "object" || message === null || !TYPES.has(message.type)) {
    throw new WireError("a message has no type, or one that is unknown");
  }
  return message;
}

function ascii(buffer, start, end) {
  return String.fromCharCode(...new Uint8Array(buffer, start, end - start));
}

// What a proctor says.

export const register = (software) => say("proctor.register", { software });
export const subscribe = (sentinelId) => say("subscribe", { sentinelId });
export const unsubscribe = (sentinelId) => say("unsubscribe", { sentinelId });
export const requestKeyframe = (sentinelId) => say("keyframe.request", { sentinelId });
export const changeFramerate = (sentinelId, framerate) =>
  say("fps.change", { sentinelId, framerate });
export const askClock = (t0) => say("clock", { t0 });

function say(type, fields) {
  return JSON.stringify({ type, ...fields });
}
