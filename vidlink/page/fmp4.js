// Just enough of fragmented MP4 (ISO/IEC 14496-12, 8.8) to place a segment in time and to let its
// last frame last longer. Checking media is the server's business; here everything is bounded, and
// what cannot be read is a MediaError that ends this picture and no other.

/** The bytes are not a segment this page can show. */
export class MediaError extends Error {}

const TFHD_BASE_OFFSET = 0x1;
const TFHD_DESCRIPTION = 0x2;
const TFHD_DURATION = 0x8;
const TRUN_OFFSET = 0x1;
const TRUN_FIRST_FLAGS = 0x4;
const TRUN_DURATION = 0x100;
const TRUN_COLUMNS = [0x100, 0x200, 0x400, 0x800];
const MAX_BOXES = 1024;

/**
 * Where a segment lies, in seconds of media time: its `first` and its `newest` frame, and the `end`
 * of the newest as it was declared. `media` is what `readInit` gives. Throws MediaError.
 */
export function locate(data, media) {
  const { runs, decodeTime } = readFragment(viewOf(data), media);
  let before = 0;
  for (const run of runs) for (const duration of run.durations) before += duration;
  const last = runs[runs.length - 1].durations.at(-1);
  return {
    first: decodeTime / media.timescale,
    newest: (decodeTime + before - last) / media.timescale,
    end: (decodeTime + before) / media.timescale,
  };
}

/** Put a segment where its first frame is at `seconds` of media time, in place. Throws MediaError. */
export function move(data, seconds, media) {
  const view = viewOf(data);
  const moof = child(view, { body: 0, end: view.byteLength }, "moof");
  const tfdt = child(view, child(view, moof, "traf"), "tfdt");
  const time = Math.round(seconds * media.timescale);
  if (view.getUint8(tfdt.body) === 0) {
    if (time > 0xffffffff) throw new MediaError("a time does not fit its box");
    view.setUint32(tfdt.body + 4, time);
  } else {
    view.setUint32(tfdt.body + 4, Math.floor(time / 2 ** 32));
    view.setUint32(tfdt.body + 8, time % 2 ** 32);
  }
}

/**
 * Give the last frame of a segment another duration, in seconds, so that a frame that comes late
 * leaves no hole: Chromium drops every frame up to the next keyframe behind a hole of more than
 * twice the last duration it was told.
 *
 * - A `trun` with a duration for each frame: the last of them is overwritten in place.
 * - A `trun` without, of one frame, under a `tfhd` with a default: the default is overwritten.
 * - Otherwise (several frames share one default, or it is only in the initialization segment,
 *   where `media.defaultDuration` comes from): the `trun` is written anew with a duration for each.
 *
 * Returns the bytes to append: the same array where it was done in place. Throws MediaError.
 */
export function stretch(data, seconds, media) {
  const view = viewOf(data);
  const ticks = Math.ceil(seconds * media.timescale);
  const duration = Math.min(Math.max(ticks, 1), 0xffffffff);
  return withLastDuration(view, data, readFragment(view, media), duration);
}

/**
 * What has to be known of an initialization segment: `timescale` in ticks a second, and
 * `defaultDuration` in ticks. Throws MediaError.
 */
export function readInit(data) {
  const view = viewOf(data);
  const moov = child(view, { body: 0, end: view.byteLength }, "moov");
  const mdhd = child(view, child(view, child(view, moov, "trak"), "mdia"), "mdhd");
  const timescale = u32(view, mdhd, view.getUint8(mdhd.body) === 1 ? 20 : 12);
  if (timescale === 0) throw new MediaError("the timescale is 0");
  const trex = child(view, child(view, moov, "mvex"), "trex");
  return { timescale, defaultDuration: u32(view, trex, 12) };
}

function viewOf(data) {
  return new DataView(data.buffer, data.byteOffset, data.byteLength);
}

function readFragment(view, media) {
  const moof = child(view, { body: 0, end: view.byteLength }, "moof");
  const traf = child(view, moof, "traf");
  const tfhd = child(view, traf, "tfhd");
  const tfhdFlags = u32(view, tfhd, 0) & 0xffffff;
  const optional =
    8 + (tfhdFlags & TFHD_BASE_OFFSET ? 8 : 0) + (tfhdFlags & TFHD_DESCRIPTION ? 4 : 0);
  const defaultPlace = tfhdFlags & TFHD_DURATION ? tfhd.body + optional : null;
  const shared =
    defaultPlace === null ? media.defaultDuration : u32(view, tfhd, optional);
  const runs = children(view, traf)
    .filter((box) => box.kind === "trun")
    .map((box) => readRun(view, box, shared));
  if (runs.length === 0) throw new MediaError("a segment without frames");
  const decodeTime = readDecodeTime(view, child(view, traf, "tfdt"));
  return { moof, traf, runs, decodeTime, defaultPlace };
}

function readDecodeTime(view, tfdt) {
  if (view.getUint8(tfdt.body) === 0) return u32(view, tfdt, 4);
  return u32(view, tfdt, 4) * 2 ** 32 + u32(view, tfdt, 8);
}

function readRun(view, box, shared) {
  const flags = u32(view, box, 0) & 0xffffff;
  const count = u32(view, box, 4);
  const columns = TRUN_COLUMNS.filter((flag) => flags & flag).length;
  const table =
    box.body + 8 + (flags & TRUN_OFFSET ? 4 : 0) + (flags & TRUN_FIRST_FLAGS ? 4 : 0);
  if (count === 0 || count > box.end || table + count * columns * 4 > box.end) {
    throw new MediaError("trun is too short for its frames, or has none");
  }
  const durations = new Array(count).fill(shared);
  if (flags & TRUN_DURATION) {
    for (let n = 0; n < count; n++) durations[n] = view.getUint32(table + n * columns * 4);
  }
  return { box, flags, count, columns, table, durations };
}

function withLastDuration(view, data, layout, duration) {
  const { runs, defaultPlace } = layout;
  const last = runs[runs.length - 1];
  if (last.flags & TRUN_DURATION) {
    view.setUint32(last.table + (last.count - 1) * last.columns * 4, duration);
    return data;
  }
  if (runs.length === 1 && last.count === 1 && defaultPlace !== null) {
    view.setUint32(defaultPlace, duration);
    return data;
  }
  return withDurations(data, layout, [...last.durations.slice(0, -1), duration]);
}

/** Insert a column of durations into the last `trun`; everything behind it moves by its size. */
function withDurations(data, { moof, traf, runs }, durations) {
  const { box, flags, count, columns, table } = runs[runs.length - 1];
  const grown = 4 * count;
  const out = new Uint8Array(data.length + grown);
  const view = new DataView(out.buffer);
  out.set(data.subarray(0, table));
  for (let n = 0; n < count; n++) {
    const cell = table + n * columns * 4;
    const target = table + n * (columns + 1) * 4;
    view.setUint32(target, durations[n]);
    out.set(data.subarray(cell, cell + columns * 4), target + 4);
  }
  out.set(data.subarray(table + count * columns * 4), table + count * (columns + 1) * 4);
  for (const { start } of [moof, traf, box]) grow(view, start, grown);
  view.setUint32(box.body, view.getUint32(box.body) | TRUN_DURATION);
  for (const run of runs) {
    const place = run.box.body + 8;
    if (run.flags & TRUN_OFFSET) view.setInt32(place, view.getInt32(place) + grown);
  }
  return out;
}

/** Add to the size of the box at `start`, wherever that is written (14496-12, 4.2). */
function grow(view, start, grown) {
  const size = view.getUint32(start);
  if (size > 1) view.setUint32(start, size + grown);
  else if (size === 1) view.setUint32(start + 12, view.getUint32(start + 12) + grown);
}

function child(view, parent, kind) {
  const found = children(view, parent).find((box) => box.kind === kind);
  if (found === undefined) throw new MediaError(`there is no ${kind}`);
  return found;
}

function children(view, { body, end }) {
  const boxes = [];
  let start = body;
  while (start < end && boxes.length < MAX_BOXES) {
    if (start + 8 > end) throw new MediaError("a box is cut off");
    const kind = String.fromCharCode(
      view.getUint8(start + 4), view.getUint8(start + 5),
      view.getUint8(start + 6), view.getUint8(start + 7),
    );
    let size = view.getUint32(start);
    let header = 8;
    if (size === 1 && start + 16 <= end) {
      size = view.getUint32(start + 8) * 2 ** 32 + view.getUint32(start + 12);
      header = 16;
    } else if (size === 0) {
      size = end - start;
    }
    if (size < header || start + size > end) throw new MediaError(`${kind} has a wrong size`);
    boxes.push({ kind, start, body: start + header, end: start + size });
    start += size;
  }
  return boxes;
}

function u32(view, box, skip) {
  if (box.body + skip + 4 > box.end) throw new MediaError(`${box.kind} is too short`);
  return view.getUint32(box.body + skip);
}
