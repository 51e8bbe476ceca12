// What is missing from recordings, in words and as a bar: within a session, and between sessions.

import { element, setText } from "./dom.js";
import * as words from "./words.js";

/** So long a sentinel may be away between two sessions without a word about it. */
const AWAY_US = 5e6;
/** So many gaps are told one by one. */
const MOST_TOLD = 50;
/** A gap is drawn no narrower than this part of the bar, so that it can be seen. */
const NARROWEST = 0.004;

/** The time at which a session is said to have begun: its first picture, if there is one. */
export const begin = ({ startTime, startedTime }) => startTime ?? startedTime;

/** Why something is missing: "the disk was full (No space left on device)". */
export function causeWords({ cause, detail }) {
  return `${words.CAUSES[cause] ?? cause}${detail ? ` (${detail})` : ""}`;
}

/** One gap on a line: what, when, how long and why. */
export function gapWords(gap) {
  const { first, last, startTime, endTime } = gap;
  const isOpen = first === null && endTime === null;
  const when = startTime === null ? "" : ` ${isOpen ? "from" : "at"} ${words.moment(startTime)}`;
  const long = startTime === null || endTime === null
    ? "" : `, ${words.length((endTime - startTime) / 1e6)}`;
  const what = first === null ? "" : `: ${words.count(last - first + 1, "segment")}`;
  return `Missing${when}${long}${what}, ${causeWords(gap)}`;
}

/** Words before a number of gaps: where a session has too many for one answer, it has still more. */
export const atLeast = ({ listedTo }) => ((listedTo ?? null) === null ? "" : "at least ");

/** All gaps of a session in one line: "12 segments, 3 s: the disk was full"; "" if there is none. */
export function missingWords(session) {
  const { gaps } = session;
  if (gaps.length === 0) return "";
  let segments = 0;
  let time = 0;
  let isOpen = false;
  for (const { first, last, startTime, endTime } of gaps) {
    if (first !== null) segments += last - first + 1;
    if (startTime !== null && endTime !== null) time += endTime - startTime;
    else if (first === null) isOpen = true;
  }
  const what = [];
  if (segments > 0) what.push(words.count(segments, "segment"));
  if (time > 0) what.push(words.length(time / 1e6));
  if (isOpen) what.push("the end");
  const why = new Set(gaps.map(({ cause }) => words.CAUSES[cause] ?? cause));
  return `${atLeast(session)}${what.join(", ")} missing: ${[...why].join("; ")}`;
}

/** Every gap of a session in a list; of very many the first ones. */
export function gapList(session) {
  const { gaps } = session;
  const items = gaps.slice(0, MOST_TOLD).map((gap) => element("li", {}, gapWords(gap)));
  const rest = gaps.length - items.length;
  if (rest > 0) items.push(element("li", {}, `and ${atLeast(session)}${words.count(rest, "more gap")}`));
  return element("ul", { class: "gap-list", hidden: gaps.length === 0 }, ...items);
}

/** The time of a session from its beginning to its end, with what is missing marked on it. */
export function timeBar(session) {
  const { endTime, gaps } = session;
  const from = begin(session);
  const known = gaps.flatMap((gap) => [gap.startTime, gap.endTime]).filter((time) => time !== null);
  const end = Math.max(endTime ?? from, ...known.slice(0, 10_000));
  const span = Math.max(1, end - from);
  const told = gaps.length === 0 ? "nothing is missing" : missingWords(session);
  const bar = element("div", { class: "time-bar", role: "img", "aria-label": `Time bar: ${told}` });
  for (const gap of gaps) {
    if (gap.startTime === null) continue;
    const left = Math.max(0, (gap.startTime - from) / span);
    const width = Math.max(NARROWEST, ((gap.endTime ?? end) - gap.startTime) / span);
    const mark = element("span", { title: gapWords(gap), "data-cause": gap.cause });
    mark.style.left = `${Math.min(left, 1 - NARROWEST) * 100}%`;
    mark.style.width = `${Math.min(width, 1) * 100}%`;
    bar.append(mark);
  }
  return element(
    "div", { class: "times" },
    bar, element("span", {}, words.moment(from)), element("span", {}, words.moment(end)),
  );
}

/**
 * Say in each row since when the sentinel was away before its session began. `rows` are all that
 * are known, each with a `session` and a hidden table row `away` of its own.
 */
export function showAway(rows) {
  let reached = null;
  for (const row of [...rows].sort((one, other) => begin(one.session) - begin(other.session))) {
    const from = begin(row.session);
    const isAway = reached !== null && from - reached > AWAY_US;
    row.away.hidden = !isAway;
    if (isAway) {
      const long = words.length((from - reached) / 1e6);
      const text = `Not connected from ${words.moment(reached)} for ${long}`;
      setText(row.away.firstChild, text);
    }
    const { endTime, endedTime } = row.session;
    reached = Math.max(reached ?? from, from, endTime ?? from, endedTime ?? from);
  }
}
