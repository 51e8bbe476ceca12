// The page put together: the address says what is shown, the connection brings it.

import { Account, LOGINS_HASH, wayIn } from "./account.js";
import * as api from "./api.js";
import { ServerClock } from "./clock.js";
import { Connection } from "./connection.js";
import { element, setAttribute, setText } from "./dom.js";
import { SentinelList } from "./list.js";
import { LoginsView } from "./logins.js";
import { isSupported } from "./player.js";
import { RecordingsView } from "./recordings.js";
import { WatchView } from "./watch.js";
import * as words from "./words.js";

/** The words that count on are brought up to date so often. */
const REFRESH_MS = 250;
const CHECK_MS = 1000;
/** An alarm stands so long after it was last sounded: the other machine tries every minute or so. */
const ALARM_MS = 120_000;
/** What the server says of its recording stands so long: it is said again every half minute. */
const TROUBLE_MS = 45_000;

class App {
  #clock = new ServerClock();
  #list = new SentinelList(this.#clock);
  #connection;
  #me = null;
  #account = new Account({ left: () => location.replace("login.html") });
  #may = [];
  #view = null;
  #route = { kind: "list" };
  #unknown = false;
  #checkedAt = 0;
  #said = "";
  #clone = { text: "", until: -Infinity };
  #trouble = { text: "", until: -Infinity };
  #troubled = 0;

  async start() {
    this.phaseText = document.getElementById("connection");
    this.alarmText = document.getElementById("alarm");
    this.announcer = document.getElementById("announcer");
    this.main = document.getElementById("main");
    this.placeholder = document.getElementById("placeholder");
    this.main.prepend(this.#list.root);
    document.querySelector(".bar").append(this.#account.root);
    this.main.before(this.#account.line);
    const socketUrl = new URL("ws/proctor", document.baseURI);
    socketUrl.protocol = socketUrl.protocol === "https:" ? "wss:" : "ws:";
    this.#connection = new Connection({
      socketUrl, meUrl: api.ME, clock: this.#clock,
      on: {
        phase: () => this.#showPhase(),
        registered: ({ may }) => this.#registered(may),
        message: (message) => this.#take(message),
      },
    });
    if (!await this.#learn()) return;
    api.whenEnded(() => this.#account.end());
    addEventListener("hashchange", () => this.#follow());
    addEventListener("keydown", (event) => this.#key(event));
    document.addEventListener("visibilitychange", () => this.#visibility());
    addEventListener("focus", () => this.#askAgain());
    addEventListener("pageshow", (event) => {
      // Kept by the browser since it was left; who is there now may be somebody else.
      if (event.persisted && this.#me?.access === "closed") location.reload();
    });
    setInterval(() => this.#tick(), REFRESH_MS);
    if (this.#mayWatch) this.#connection.start();
    else this.#showRights();
    this.#follow();
  }

  /** Learn who asks; false if they have to log in first. */
  async #learn() {
    try {
      this.#me = await api.me();
      this.#account.show(this.#me);
      this.#may = this.#me.may;
    } catch (error) {
      if (!(error instanceof api.ApiError)) throw error;
      if (error.status === 401) {
        location.replace(wayIn());
        return false;
      }
      // It is the connection's to try again, and to say why.
    }
    return true;
  }

  /** As long as it is not known, the server is asked by the connection. */
  get #mayWatch() {
    return this.#me === null || this.#me.may.includes("watch");
  }

  /** Somebody may have logged in or out in another window. */
  async #askAgain() {
    if (this.#me?.access !== "closed" && this.#account.line.hidden) return;
    let me;
    try {
      me = await api.me();
    } catch (error) {
      if (error.status === 401) this.#account.end();
      return;
    }
    const same = ["name", "access", "may", "groups"].every(
      (key) => JSON.stringify(me[key]) === JSON.stringify(this.#me[key]),
    );
    if (!same) return location.reload();
    this.#account.resume();
    this.#connection.resume();
  }

  #showRights() {
    this.#list.root.remove();
    this.phaseText.parentElement.hidden = true;
    this.placeholder.replaceWith(this.placeholder = this.#account.rights());
  }

  #take(message) {
    if (message.type === "sentinels") {
      this.#list.take(message);
      this.#refreshStatus();
      this.#countTroubled();
    } else if (message.type === "error" && message.code === "id-in-use") {
      const text = message.message.includes(message.about)
        ? message.message : `two machines use the id ${message.about}: ${message.message}`;
      this.#clone = { text: words.sentence(text), until: performance.now() + ALARM_MS };
      this.#showAlarm();
    } else if (message.type === "error" && message.code === "recording") {
      const text = `Recording is in trouble: ${message.message}`;
      this.#trouble = { text, until: performance.now() + TROUBLE_MS };
      this.#showAlarm();
    } else if (this.#route.kind !== "watch" || this.#view === null) {
      return;
    } else if (message.type === "error") {
      if (message.about !== this.#route.sentinelId) return;
      this.#unknown = message.code === "not-found";
      this.#view.take(message);
    } else if (message.sentinelId === this.#route.sentinelId) {
      this.#view.take(message);
    }
  }

  /** Once every sentinel is recorded again, what the server said of it is over. */
  #countTroubled() {
    const { troubled } = this.#list;
    if (troubled === 0 && this.#troubled > 0) this.#trouble.until = -Infinity;
    this.#troubled = troubled;
    this.#showAlarm();
  }

  #showAlarm() {
    const now = performance.now();
    const known = [this.#clone, this.#trouble].filter(({ until }) => now < until);
    const texts = known.map(({ text }) => text);
    if (this.#troubled > 0 && !known.includes(this.#trouble)) {
      texts.push(`${words.count(this.#troubled, "sentinel")} not being recorded`);
    }
    setText(this.alarmText, texts.join(". "));
  }

  /** The list has news: of the sentinel that is open too? One that was unknown can be joined now. */
  #refreshStatus() {
    const { kind, sentinelId } = this.#route;
    if (sentinelId === undefined) return;
    const status = this.#list.status(sentinelId);
    this.#view.setStatus(status);
    if (kind !== "watch" || !this.#unknown || status == null) return;
    this.#unknown = false;
    this.#connection.watch(sentinelId);
  }

  #registered(may) {
    this.#may = may;
    this.#showPhase();
  }

  #showPhase() {
    const { phase } = this.#connection;
    const connected = phase === "connected";
    if (!connected) {
      this.#trouble.until = -Infinity;
      this.#troubled = 0;
      this.#showAlarm();
    }
    setAttribute(document.body, "data-connection", phase);
    this.#list.setConnected(connected, this.#connection.heardUs);
    this.#view?.setConnected?.(connected, this.#may);
    this.#showPhaseWords();
    if (phase === "waiting") this.#announce(`Connection lost: ${this.#connection.reason}`);
    else if (phase === "ended") this.#account.end();
    else if (connected) {
      this.#announce("Connected");
      if (this.#me === null) this.#learn().then(() => this.#follow());
    }
  }

  #showPhaseWords() {
    const { phase, reason, retryAt, heardUs } = this.#connection;
    const lost = heardUs === null ? "No connection" : `Connection lost at ${words.timeOfDay(heardUs)}`;
    const seconds = Math.max(0, Math.ceil((retryAt - performance.now()) / 1000));
    setText(this.phaseText, {
      connecting: "Connecting…",
      connected: "Connected",
      ended: "Logged out",
      waiting: `${lost} (${reason}), trying again in ${seconds} s`,
    }[phase]);
  }

  /** Show what the address names. */
  #follow() {
    const route = parse(location.hash, this.#me);
    const before = this.#route;
    this.#route = route;
    if (route.kind !== before.kind || route.sentinelId !== before.sentinelId) {
      this.#view?.close();
      this.#view = null;
      this.#unknown = false;
      this.#connection.watch(route.kind === "watch" ? route.sentinelId : null);
      this.#open(route);
    }
    if (route.kind === "recordings") this.#view.open(route.sessionId);
    this.#list.mark(route.sentinelId ?? null);
    this.#retitle();
  }

  #open(route) {
    setAttribute(document.body, "data-view", route.kind);
    this.placeholder.hidden = route.kind !== "list";
    if (route.kind === "list") {
      this.#list.focusOpened();
      return;
    }
    const changed = () => this.#retitle();
    if (route.kind === "watch") {
      this.#view = new WatchView(route.sentinelId, this.#clock, {
        send: (text) => this.#connection.send(text),
        rejoin: () => this.#connection.watch(route.sentinelId),
        changed,
      });
      this.#view.setConnected(this.#connection.phase === "connected", this.#may);
    } else if (route.kind === "recordings") {
      this.#view = new RecordingsView(route.sentinelId, { changed });
    } else {
      this.#view = new LoginsView(this.#me, { leave: (end) => this.#account.leave(end) });
    }
    this.#view.setStatus?.(this.#list.status(route.sentinelId));
    this.main.append(this.#view.root);
    if (this.#list.root.offsetParent === null) this.#view.focus();
  }

  #retitle() {
    if (this.#view === null) {
      document.title = "VidLink";
      return;
    }
    document.title = `${this.#view.summary} – VidLink`;
    this.#announce(this.#view.summary);
  }

  #announce(text) {
    if (text === this.#said) return;
    this.#said = text;
    setText(this.announcer, text);
  }

  #tick() {
    if (document.hidden) return;
    this.#view?.refresh?.();
    const now = performance.now();
    if (now - this.#checkedAt < CHECK_MS) return;
    this.#checkedAt = now;
    this.#showAlarm();
    this.#list.refresh();
    this.#showPhaseWords();
    this.#view?.check();
  }

  #visibility() {
    if (document.hidden) return;
    this.#connection.nudge();
    this.#view?.wake?.();
    this.#checkedAt = 0;
    this.#tick();
    this.#askAgain();
  }

  #key(event) {
    const typing = event.target.matches?.("input, select, textarea, video");
    if (event.ctrlKey || event.metaKey || event.altKey || typing) return;
    if (event.key === "/") {
      event.preventDefault();
      location.hash = this.#list.root.offsetParent === null ? "#/" : location.hash;
      this.#list.focusFilter();
    } else if (event.key === "Escape" && this.#route.kind !== "list") {
      location.hash = "#/";
    }
  }
}

/**
 * What an address names: `{kind, sentinelId, sessionId}`; anything odd is the list, and so is what is
 * nothing for whoever asks.
 */
function parse(hash, me) {
  if (hash === LOGINS_HASH && me?.access === "closed") return { kind: "logins" };
  const [kind, ...ids] = hash.replace(/^#\/?/, "").split("/");
  let sentinelId;
  let sessionId;
  try {
    [sentinelId, sessionId = null] = ids.map(decodeURIComponent);
  } catch {
    return { kind: "list" };
  }
  const known = kind === "watch" || kind === "recordings";
  if (!sentinelId || !known || me?.may.includes("watch") === false) return { kind: "list" };
  return { kind, sentinelId, sessionId };
}

if (isSupported()) new App().start();
else {
  document.getElementById("main").replaceChildren(element(
    "p", { class: "empty" },
    "This browser is too old to show live pictures. A current Chromium, Firefox or Safari will do.",
  ));
}
