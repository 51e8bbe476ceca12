// What sentinel and proctor have in common: both formats, clocks, and when to come again.
import WebSocket from "ws";

export const nowUs = () => Math.round((performance.timeOrigin + performance.now()) * 1000);

// An init or a segment as the one message that it is.
export function pack(media, format) {
  if (format === "json") return JSON.stringify({...media, data: media.data.toString("base64")});
  const head = Buffer.alloc(28), ids = Buffer.from(media.sentinelId + media.sessionId, "ascii");
  head[0] = media.type === "init" ? 1 : 2;
  head[1] = (media.keyframe ? 1 : 0) | (media.late ? 2 : 0);
  head[2] = media.sentinelId.length;
  head[3] = media.sessionId.length;
  head.writeUInt32BE(media.duration ?? 0, 4);
  head.writeBigUInt64BE(BigInt(media.sequence ?? 0), 8);
  head.writeBigInt64BE(BigInt(media.startTime ?? 0), 16);
  head.writeUInt32BE(Math.round((media.framerate ?? 0) * 1000), 24);
  return Buffer.concat([head, ids, media.data]);
}

// Any message, from a text or from a binary frame.
export function unpack(data, isBinary) {
  if (!isBinary) {
    const message = JSON.parse(data.toString());
    return "data" in message ? {...message, data: Buffer.from(message.data, "base64")} : message;
  }
  const ids = 28 + data[2], media = ids + data[3];
  return {
    type: data[0] === 1 ? "init" : "segment",
    keyframe: (data[1] & 1) === 1,
    late: (data[1] & 2) === 2,
    duration: data.readUInt32BE(4),
    sequence: Number(data.readBigUInt64BE(8)),
    startTime: Number(data.readBigInt64BE(16)),
    framerate: data.readUInt32BE(24) / 1000,
    sentinelId: data.toString("ascii", 28, ids),
    sessionId: data.toString("ascii", ids, media),
    data: data.subarray(media),
  };
}

// The close codes after which only a person, or time, can help.
const PATIENCE = new Set([4400, 4401, 4403, 4409, 4410, 4422]);

// Connect to `url` for as long as it takes. `begin(send, close)` starts a conversation and returns
// what to do on each type of message; other types are none of our business.
export async function always(url, format, begin) {
  for (let wait = 0.5; ; ) {
    const socket = new WebSocket(url, [`vidlink.v1.${format}`], {perMessageDeflate: false});
    let heard = {};
    const send = (message) =>
      socket.send("data" in message ? pack(message, format) : JSON.stringify(message));
    socket.on("open", () => { heard = begin(send, () => socket.close(1000)); });
    socket.on("message", (data, isBinary) => {
      const message = unpack(data, isBinary);
      if (message.type === "registered") wait = 0.5;
      if (message.type === "error") console.error(`${message.code}: ${message.message}`);
      heard[message.type]?.(message);
    });
    socket.on("error", (error) => console.error(error.message)); // "close" comes after it
    const code = await new Promise((resolve) => socket.on("close", resolve));
    heard.closed?.();
    if (code === 1000) return;
    const seconds = (PATIENCE.has(code) ? 60 : wait) * (1 + Math.random() / 2);
    wait = Math.min(wait * 2, 30);
    console.error(`closed with ${code}; again in ${seconds.toFixed(1)} s`);
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  }
}
