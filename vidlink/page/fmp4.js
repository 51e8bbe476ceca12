// Just enough of fragmented MP4 (ISO/IEC 14496-12, 8.8) to take a segment apart into its frames,
// whatever its layout, and to write a frame as a segment of its own at another time. Checking media
// is the server's business; here everything is bounded, and what cannot be read is a MediaError that
// ends this picture and no other. Where frames are put is axis.js.

/** The bytes are not media this page can show. */
export class MediaError extends Error {}

/** Ticks a second of what is written here. */
const TIMESCALE = 90_000;

const TFHD_BASE_OFFSET = 0x1;
const TFHD_DESCRIPTION = 0x2;
const TFHD_DURATION = 0x8;
const TFHD_SIZE = 0x10;
const TFHD_FLAGS = 0x20;
const TFHD_BASE_IS_MOOF = 0x020000;
const TRUN_OFFSET = 0x1;
const TRUN_FIRST_FLAGS = 0x4;
const TRUN_DURATION = 0x100;
const TRUN_SIZE = 0x200;
const TRUN_FLAGS = 0x400;
const TRUN_COMPOSITION = 0x800;
const TRUN_COLUMNS = [TRUN_DURATION, TRUN_SIZE, TRUN_FLAGS, TRUN_COMPOSITION];
const NON_SYNC = 0x00010000;
const MAX_BOXES = 1024;
const MAX_FRAMES = 10_000;

/**
 * Read what has to be known of an initialization segment, and make it one of what is written here:
 * its track counts in our ticks, and an edit list, with which some players shift all frames, becomes
 * `free`. Changes `data` in place. Throws MediaError.
 */
export function adoptInit(data) {
  const view = viewOf(data);
  const moov = child(view, { body: 0, end: view.byteLength }, "moov");
  const trak = child(view, moov, "trak");
  const mdhd = child(view, child(view, trak, "mdia"), "mdhd");
  const place = view.getUint8(mdhd.body) === 1 ? 20 : 12;
  const timescale = u32(view, mdhd, place);
  if (timescale === 0) throw new MediaError("the timescale is 0");
  const trex = child(view, child(view, moov, "mvex"), "trex");
  view.setUint32(mdhd.body + place, TIMESCALE);
  for (const { kind, start } of children(view, trak)) {
    if (kind === "edts") data.set([0x66, 0x72, 0x65, 0x65], start + 4);
  }
  return {
    timescale,
    trackId: u32(view, trex, 4),
    description: u32(view, trex, 8),
    duration: u32(view, trex, 12),
    size: u32(view, trex, 16),
    flags: u32(view, trex, 20),
  };
}

/**
 * The frames of a segment in the order in which they are decoded: `{decode, shown, duration, flags,
 * isSync, description, data}`, times in seconds of media time. `media` is what `adoptInit` gave.
 * Throws MediaError.
 */
export function readFrames(data, media) {
  const view = viewOf(data);
  const moof = child(view, { body: 0, end: view.byteLength }, "moof");
  const traf = child(view, moof, "traf");
  const defaults = readDefaults(view, child(view, traf, "tfhd"), media);
  const reader = {
    data, view, defaults, start: moof.start, place: moof.start, timescale: media.timescale,
    time: readDecodeTime(view, child(view, traf, "tfdt")), frames: [],
  };
  for (const box of children(view, traf)) if (box.kind === "trun") readRun(reader, box);
  if (reader.frames.length === 0) throw new MediaError("a segment without frames");
  return reader.frames;
}

/**
 * A segment of this one frame, to be decoded at `decode`, shown at `shown` and to last `duration`
 * seconds.
 */
export function writeFrame(frame, { decode, shown, duration }, media) {
  const ticks = Math.round(decode * TIMESCALE);
  const words = [
    108, "moof", 16, "mfhd", 0, 0,
    84, "traf", 20, "tfhd", TFHD_BASE_IS_MOOF | TFHD_DESCRIPTION, media.trackId, frame.description,
    20, "tfdt", 0x01000000, Math.floor(ticks / 2 ** 32), ticks % 2 ** 32,
    36, "trun", 0x01000000 | TRUN_OFFSET | TRUN_DURATION | TRUN_SIZE | TRUN_FLAGS | TRUN_COMPOSITION,
    1, 116, Math.min(0xffffffff, Math.ceil(duration * TIMESCALE)), frame.data.length, frame.flags,
    Math.round(shown * TIMESCALE) - ticks,
    8 + frame.data.length, "mdat",
  ];
  const out = new Uint8Array(4 * words.length + frame.data.length);
  const view = new DataView(out.buffer);
  words.forEach((word, n) => view.setUint32(4 * n, typeof word === "string" ? fourOf(word) : word));
  out.set(frame.data, 4 * words.length);
  return out;
}

function readDefaults(view, tfhd, media) {
  const flags = u32(view, tfhd, 0) & 0xffffff;
  if (flags & TFHD_BASE_OFFSET) throw new MediaError("frames are placed by an offset into a file");
  const { description, duration, size, flags: sampleFlags } = media;
  let place = 4;
  const field = (bit, otherwise) => (flags & bit ? u32(view, tfhd, (place += 4)) : otherwise);
  return {
    description: field(TFHD_DESCRIPTION, description),
    duration: field(TFHD_DURATION, duration),
    size: field(TFHD_SIZE, size),
    flags: field(TFHD_FLAGS, sampleFlags),
  };
}

function readDecodeTime(view, tfdt) {
  if (view.getUint8(tfdt.body) === 0) return u32(view, tfdt, 4);
  return u32(view, tfdt, 4) * 2 ** 32 + u32(view, tfdt, 8);
}

/** Read the frames of one `trun`; without an offset they follow those of the one before. */
function readRun(reader, box) {
  const { data, view, defaults, timescale, frames } = reader;
  const flags = u32(view, box, 0) & 0xffffff;
  const count = u32(view, box, 4);
  let cell = box.body + 8;
  if (flags & TRUN_OFFSET) reader.place = reader.start + signed(u32(view, box, 8));
  if (flags & TRUN_OFFSET) cell += 4;
  const firstFlags = flags & TRUN_FIRST_FLAGS ? u32(view, box, cell - box.body) : null;
  if (firstFlags !== null) cell += 4;
  const columns = TRUN_COLUMNS.filter((bit) => flags & bit).length;
  if (frames.length + count > MAX_FRAMES || cell + count * columns * 4 > box.end) {
    throw new MediaError("trun is too short for its frames, or has too many");
  }
  const column = (bit, otherwise) => {
    if (!(flags & bit)) return otherwise;
    cell += 4;
    return view.getUint32(cell - 4);
  };
  for (let n = 0; n < count; n++) {
    const duration = column(TRUN_DURATION, defaults.duration);
    const size = column(TRUN_SIZE, defaults.size);
    const own = column(TRUN_FLAGS, defaults.flags);
    const frameFlags = n === 0 && firstFlags !== null ? firstFlags : own;
    const offset = signed(column(TRUN_COMPOSITION, 0));
    const end = reader.place + size;
    if (reader.place < 0 || end > data.length) throw new MediaError("a frame lies outside its segment");
    frames.push({
      decode: reader.time / timescale,
      shown: (reader.time + offset) / timescale,
      duration: duration / timescale,
      flags: frameFlags,
      isSync: !(frameFlags & NON_SYNC),
      description: defaults.description,
      data: data.subarray(reader.place, end),
    });
    reader.place = end;
    reader.time += duration;
  }
}

function viewOf(data) {
  return new DataView(data.buffer, data.byteOffset, data.byteLength);
}

/** An unsigned number of 32 bits as the signed one: muxers write those in `trun` of either version. */
function signed(number) {
  return number | 0;
}

function fourOf(kind) {
  return [...kind].reduce((word, letter) => word * 256 + letter.charCodeAt(0), 0);
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
