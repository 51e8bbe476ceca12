// A proctor that keeps what it sees:
// node proctor.mjs ws://127.0.0.1:8080 desk-12 FOLDER [binary|json]
// Each session becomes FOLDER/SESSION.mp4. With - for FOLDER all goes to stdout, for a player.
import {appendFileSync} from "node:fs";
import {always} from "./wire.mjs";

const [server, sentinelId, folder, format = "binary"] = process.argv.slice(2);
const keep = ({sessionId, data}) =>
  folder === "-" ? process.stdout.write(data) : appendFileSync(`${folder}/${sessionId}.mp4`, data);
const tell = (message) => console.error(JSON.stringify(message));
let shown; // the session that was kept last
let next; // where to go on after a lost connection

await always(`${server}/ws/proctor`, format, (send) => {
  let isSubscribed = false;
  send({type: "proctor.register", software: "VidLink example"});
  return {
    sentinels({sentinels}) {
      for (const row of sentinels.filter((row) => row.sentinelId === sentinelId)) {
        tell(row);
        if (!isSubscribed) send({type: "subscribe", sentinelId, ...(next && {startFrom: next})});
        isSubscribed = true;
      }
    },
    subscribed: tell,
    init(message) {
      if (message.sessionId !== shown) keep(message); // it may come more than once
      shown = message.sessionId;
    },
    segment(message) {
      next = {sessionId: message.sessionId, sequence: message.sequence + 1};
      keep(message);
    },
    skipped: tell,
    "session.ended": tell,
  };
});
