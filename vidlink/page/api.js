// What is asked over HTTP. Addresses are relative to the page, so that it works below any path.

/** The server refused, with `status`, or could not be reached: 0; `message` is a sentence for a person. */
export class ApiError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

const part = encodeURIComponent;

export const ME = "api/v1/me";

let ended = () => {};

/** Have this called whenever the server does not know any more who asks. */
export function whenEnded(call) {
  ended = call;
}

/** Who asks, and what they may do; it is for the caller to see whether they have to log in. */
export function me() {
  return ask("GET", ME);
}

/** The logins of the one who asks: `{user, logins}`. */
export function logins(signal) {
  return get("api/v1/logins", signal);
}

/** End one of them; this one; all of them. */
export const endLogin = (loginId) => ask("DELETE", `api/v1/logins/${part(loginId)}`);
export const logOut = () => ask("DELETE", "api/v1/login");
export const logOutEverywhere = () => ask("DELETE", "api/v1/logins");

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
  try {
    return await ask("GET", path, signal);
  } catch (error) {
    if (error.status === 401) ended();
    throw error;
  }
}

async function ask(method, path, signal) {
  let answer;
  try {
    answer = await fetch(path, { method, signal, headers: { Accept: "application/json" } });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError("The server cannot be reached.", 0);
  }
  const value = await answer.json().catch(() => null);
  if (answer.ok && value !== null) return value;
  if (answer.status === 401) throw new ApiError("You are not logged in.", 401);
  const message = value?.error?.message ?? `The server answered ${answer.status}.`;
  throw new ApiError(message, answer.status);
}
