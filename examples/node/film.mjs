// Cuts a file of fragmented MP4 into an initialization segment and segments (ISO/IEC 14496-12).

const NOT_SYNC = 0x10000; // in the flags of a sample: not a place to begin

function* boxes(data, start, end) {
  for (let size; start < end; start += size) {
    size = data.readUInt32BE(start);
    if (size < 8 || start + size > end) throw new Error("a box that this example cannot read");
    const kind = data.toString("latin1", start + 4, start + 8);
    yield {kind, start, body: start + 8, end: start + size};
  }
}

function find(data, box, ...path) {
  for (const kind of path) {
    box = [...boxes(data, box.body, box.end)].find((inner) => inner.kind === kind);
    if (!box) throw new Error(`no ${kind} box`);
  }
  return box.body;
}

// The flags of the first sample: those of trun, or else the default in tfhd.
function firstFlags(data, tfhd, trun) {
  const given = data.readUInt32BE(trun), columns = trun + 8 + (given & 0x1 ? 4 : 0);
  if (given & 0x4) return data.readUInt32BE(columns);
  const skipped = (given & 0x100 ? 4 : 0) + (given & 0x200 ? 4 : 0); // duration, size
  if (given & 0x400) return data.readUInt32BE(columns + skipped);
  const defaults = data.readUInt32BE(tfhd), before = [0x2, 0x8, 0x10];
  if (!(defaults & 0x20)) throw new Error("a tfhd without flags for its samples");
  return data.readUInt32BE(tfhd + 8 + 4 * before.filter((bit) => defaults & bit).length);
}

function readMoof(data, moof) {
  const tfdt = find(data, moof, "traf", "tfdt"), trun = find(data, moof, "traf", "trun");
  return {
    number: find(data, moof, "mfhd") + 4 - moof.start, // where the sequence stands
    time: data[tfdt] ? Number(data.readBigUInt64BE(tfdt + 4)) : data.readUInt32BE(tfdt + 4),
    keyframe: !(firstFlags(data, find(data, moof, "traf", "tfhd"), trun) & NOT_SYNC),
    frames: data.readUInt32BE(trun + 4),
  };
}

// {init, segments: [{data, time, duration, frames, keyframe}]}, times in seconds.
export function cut(data) {
  const all = [...boxes(data, 0, data.length)], moov = all.find(({kind}) => kind === "moov");
  const mdhd = find(data, moov, "trak", "mdia", "mdhd");
  const timescale = data.readUInt32BE(mdhd + (data[mdhd] ? 20 : 12));
  const segments = all.flatMap((moof, place) => {
    if (moof.kind !== "moof") return [];
    const {time, ...rest} = readMoof(data, moof);
    return [{...rest, time: time / timescale, data: data.subarray(moof.start, all[place + 1].end)}];
  });
  segments.forEach((segment, place) => {
    const next = segments[place + 1];
    segment.duration = next ? next.time - segment.time : segments[place - 1]?.duration ?? 1;
  });
  return {init: data.subarray(0, moov.end), segments};
}

// The octets of `segment` with `sequence` in its mfhd.
export function numbered(segment, sequence) {
  const data = Buffer.from(segment.data);
  data.writeUInt32BE(sequence, segment.number);
  return data;
}
