// Numbers and states as a person reads them. Nothing here touches the page.

/** How old something is, short: "0.4 s", "12 s", "3 min 5 s", "2 h 10 min", "4 d". */
export function age(seconds) {
  const s = Math.max(0, seconds);
  if (s < 9.95) return `${s.toFixed(1)} s`;
  return length(s);
}

/** How long something lasts, to the second: "12 s", "3 min 5 s", "2 h 10 min", "4 d 3 h". */
export function length(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

/** Octets, in units of 1,000. */
export function size(bytes) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 || value >= 99.5 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

/** A frame rate: "5", "0.2", "2.5". */
export function rate(framerate) {
  return String(Math.round(framerate * 100) / 100);
}

const two = (number) => String(number).padStart(2, "0");

/** How far this computer's zone is from UTC at that time: "+02:00". */
function offset(timeUs) {
  const minutes = -new Date(timeUs / 1000).getTimezoneOffset();
  const hours = Math.floor(Math.abs(minutes) / 60);
  return `${minutes < 0 ? "-" : "+"}${two(hours)}:${two(Math.abs(minutes) % 60)}`;
}

/** A time in microseconds since the epoch, in this computer's zone: "2026-07-01 09:30:05 +02:00". */
export function moment(timeUs) {
  const at = new Date(timeUs / 1000);
  const day = [at.getFullYear(), two(at.getMonth() + 1), two(at.getDate())].join("-");
  return `${day} ${timeOfDay(timeUs)}`;
}

/** The same without the day: "09:30:05 +02:00". */
export function timeOfDay(timeUs) {
  const at = new Date(timeUs / 1000);
  const time = [at.getHours(), at.getMinutes(), at.getSeconds()].map(two).join(":");
  return `${time} ${offset(timeUs)}`;
}

/** A time in microseconds since the epoch, for the `datetime` of a <time>. */
export function machineMoment(timeUs) {
  return new Date(timeUs / 1000).toISOString();
}

export const STATES = {
  live: "Live",
  stale: "Stale",
  offline: "Offline",
  lost: "No connection",
  unknown: "Unknown",
};

export const RECORDING = {
  ok: "Recording",
  trouble: "Recording in trouble",
  none: "Not recording",
  unknown: "Recording unknown",
};

/** The same in a narrow column that is headed "Recording". */
export const RECORDING_SHORT = { ok: "On", trouble: "Trouble", none: "Off" };

export const SESSION_STATES = { live: "Live", ended: "Ended", sealed: "Complete" };

/** Why a viewer was not sent something. */
export const SKIPPED = {
  lag: "fell behind",
  undecodable: "of no use before the next keyframe",
  missing: "lost before the server had it",
};

/** Why something is missing from a recording. */
export const CAUSES = {
  "server-stopped": "the server stopped",
  "queue-full": "the disk was too slow",
  "disk-full": "the disk was full",
  "write-error": "the disk reported an error",
  "spool-full": "the sentinel was cut off for longer than its spool lasts",
  damaged: "what was written is damaged",
  declared: "the sentinel lost it",
  missing: "it has not arrived",
  undelivered: "it never arrived",
  "computer-asleep": "the computer was asleep",
};

/** A name in the middle of other text: in letters of whatever direction it leaves the rest as it is. */
export function isolated(name) {
  return /[^\0-\u024f]/.test(name) ? `\u2068${name}\u2069` : name;
}

const BROWSERS = [
  [/Edg\w*\/(\d+)/, "Edge"], [/OPR\/(\d+)/, "Opera"], [/Firefox\/(\d+)/, "Firefox"],
  [/Chrom(?:e|ium)\/(\d+)/, "Chrome"], [/Version\/(\d+).* Safari\//, "Safari"],
];
const SYSTEMS = [
  [/Windows/, "Windows"], [/Android/, "Android"], [/iPhone|iPad/, "iOS"], [/Mac OS X/, "macOS"],
  [/CrOS/, "ChromeOS"], [/Linux/, "Linux"],
];

/** A browser as people call it, "Firefox 128 on Linux"; other software as it calls itself. */
export function software(agent) {
  const browser = BROWSERS.find(([pattern]) => pattern.test(agent));
  if (browser === undefined) return agent || "unknown";
  const [pattern, name] = browser;
  const system = SYSTEMS.find(([look]) => look.test(agent));
  return `${name} ${agent.match(pattern)[1]}${system === undefined ? "" : ` on ${system[1]}`}`;
}

/** What the server says, as the beginning of a sentence. */
export function sentence(text) {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}

/** A count and its noun: "1 gap", "3 gaps". */
export function count(number, noun) {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}
