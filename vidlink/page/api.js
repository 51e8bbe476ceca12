// What is asked over HTTP. Addresses are relative to the page, so that it works below any path.

/** The server refused, or could not be reached; `message` is a sentence for a person. */
export class ApiError extends Error {}

const part = encodeURIComponent;

export const ME = "api/v1/me";

const sessionPath = (sentinelId, sessionId) =>
  `api/v1/sentinels/${part(sentinelId)}/sessions/${part(sessionId)}`;

/** One page of the sessions of a sentinel, newest first: `{sessions, next}`. */
export function sessions(sentinelId, after, limit, signal) {
  const place = after === null ? "" : `&after=${part(after)}`;
  return get(`api/v1/sessions?sentinel=${part(sentinelId)}&limit=${limit}${place}`, signal);
}

/** One session, with its spans and gaps. */
export function session(sentinelId, sessionId, signal) {
  return get(sessionPath(sentinelId, sessionId), signal);
}

/**
 * Where the recording of a session is. Of one that goes on the server gives what there is at this
 * moment, under an address of its own, so that it does not grow while it is being played.
 */
export function recordingUrl({ sentinelId, sessionId }) {
  return `${sessionPath(sentinelId, sessionId)}/recording.mp4`;
}

/**
 * Where the recording of a session stays as it is at this moment, and when its first picture was
 * captured, which is at 0 in it; null where the server does not say.
 */
export async function findRecording(session) {
  const url = recordingUrl(session);
  // What is wrong with it shows when it is played.
  const answer = await fetch(url, { method: "HEAD" }).catch(() => null);
  const start = answer?.ok ? answer.headers.get("VidLink-Start") : null;
  return start === null ? { url, startTime: null } : { url: answer.url, startTime: Number(start) };
}

async function get(path, signal) {
  let answer;
  try {
    answer = await fetch(path, { signal, headers: { Accept: "application/json" } });
  } catch (error) {
    if (signal.aborted) throw error;
    throw new ApiError("The server cannot be reached.");
  }
  const value = await answer.json().catch(() => null);
  if (answer.ok && value !== null) return value;
  throw new ApiError(value?.error?.message ?? `The server answered ${answer.status}.`);
}
