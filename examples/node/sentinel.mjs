// A sentinel that shows a film:
// node sentinel.mjs ws://127.0.0.1:8080 desk-12 film.mp4 [binary|json]
import {randomBytes} from "node:crypto";
import {readFileSync} from "node:fs";
import {cut, numbered} from "./film.mjs";
import {always, nowUs} from "./wire.mjs";

const [server, sentinelId, path, format = "binary"] = process.argv.slice(2);
const film = cut(readFileSync(path));
const instanceId = randomBytes(9).toString("base64url"); // one for this process
const sleep = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

await always(`${server}/ws/sentinel`, format, (send, close) => {
  const sessionId = randomBytes(18).toString("base64url"); // one for this connection
  let isOpen = true, aheadUs = 0, slowest = Infinity, last;

  async function show({maxInitBytes = 65536, maxSegmentBytes = 8388608} = {}) {
    if (film.init.length > maxInitBytes) throw new Error("it takes no init of this size");
    send({type: "init", sentinelId, sessionId, data: film.init});
    const began = nowUs();
    let sequence = 0, due = 0;
    for (const segment of film.segments) {
      const {time, keyframe, duration} = segment, rate = segment.frames / duration;
      await sleep(time - (nowUs() - began) / 1e6);
      if (!isOpen) return;
      // Asked for fewer frames than the film has, we leave out all but some that need no other.
      if (slowest < rate && (!keyframe || time < due - 1e-6)) continue;
      const data = numbered(segment, sequence);
      if (data.length > maxSegmentBytes) throw new Error("it takes no segment of this size");
      const framerate = Math.round(Math.min(rate, slowest) * 1000) / 1000;
      send({
        type: "segment", sentinelId, sessionId, sequence, keyframe, framerate, data,
        startTime: Math.round(began + time * 1e6) + aheadUs, duration: Math.round(1000 / framerate),
      });
      due = time + 1 / framerate;
      sequence += 1;
    }
    last = sequence - 1;
  }

  const askTime = () => send({type: "clock", t0: nowUs()});
  const asking = setInterval(askTime, 60_000);
  askTime();
  send({type: "sentinel.register", sentinelId, instanceId, software: "VidLink example", sessionId});
  return {
    clock: ({t0, t1, t2}) => { aheadUs = Math.round((t1 - t0 + t2 - nowUs()) / 2); },
    registered: ({limits}) => show(limits),
    "fps.change": ({framerate}) => { slowest = framerate; },
    "keyframe.request": () => console.log("a film has keyframes where it has them"),
    ack({sequence, load = 0}) {
      console.log(`recorded up to ${sequence}, queue ${load * 100} % full`);
      if (sequence === last) close();
    },
    closed() { isOpen = false; clearInterval(asking); },
  };
});
