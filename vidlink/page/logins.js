// Where one is logged in: each login with its time, its place and its browser, and the ways to end them.

import * as api from "./api.js";
import { element, setText } from "./dom.js";
import * as words from "./words.js";

/** The list is read again so often while it can be seen. */
const REFRESH_MS = 10_000;

/** `on` has `leave(end)`, which ends this login too, by calling `end`. */
export class LoginsView {
  #me;
  #on;
  #abort = new AbortController();
  #readAt = -Infinity;

  constructor(me, on) {
    this.#me = me;
    this.#on = on;
    this.#build();
    this.#read();
  }

  get summary() {
    return `Logins of ${this.#me.name}`;
  }

  /** To be called about once a second while the page can be seen. */
  check() {
    if (performance.now() - this.#readAt > REFRESH_MS) this.#read();
  }

  focus() {
    this.heading.focus({ preventScroll: true });
  }

  close() {
    this.#abort.abort();
    this.root.remove();
  }

  #build() {
    this.heading = element("h1", { class: "name", tabindex: "-1" }, this.summary);
    this.everywhere = element("button", { type: "button" }, "Log out everywhere");
    this.everywhere.addEventListener("click", () => this.#on.leave(api.logOutEverywhere));
    this.trouble = element("p", { class: "notice", role: "status" });
    this.body = element("tbody");
    const heads = ["Since", "From", "End"];
    this.root = element(
      "section", { class: "logins", "aria-label": "Logins" },
      element("a", { class: "back", href: "#/" }, "Back"),
      element("header", {}, this.heading, this.everywhere),
      this.#seen(), this.trouble,
      element(
        "div", { class: "scroller" },
        element(
          "table", { "aria-label": "Logins" },
          element("thead", {}, element("tr", {}, ...heads.map(
            (head) => element("th", { scope: "col" }, head),
          ))),
          this.body,
        ),
      ),
    );
  }

  /** Whose screens are seen. */
  #seen() {
    const { may, groups } = this.#me;
    if (!may.includes("watch")) return "";
    if (groups === null) return element("p", { class: "seen" }, "You see the sentinels of all groups.");
    const names = groups.flatMap((group, n) => [n > 0 ? ", " : "", element("bdi", {}, group || "(no group)")]);
    return element("p", { class: "seen" }, "You see the sentinels of ", ...names, ".");
  }

  async #read() {
    this.#readAt = performance.now();
    await this.#try(async () => {
      const { logins } = await api.logins(this.#abort.signal);
      this.#show(logins.toReversed());
    });
  }

  #show(logins) {
    const had = document.activeElement?.closest("tr[data-login]")?.dataset.login;
    this.body.replaceChildren(...logins.map((login) => this.#row(login)));
    if (had) this.body.querySelector(`tr[data-login="${CSS.escape(had)}"] button`)?.focus();
  }

  #row(login) {
    const end = element("button", { type: "button" }, login.this ? "Log out" : "End");
    end.addEventListener("click", () => (
      login.this ? this.#on.leave(api.logOut) : this.#end(login.id)
    ));
    return element(
      "tr", { "data-login": login.id },
      element(
        "th", { scope: "row" },
        element("time", { datetime: words.machineMoment(login.since) }, words.moment(login.since)),
        login.this ? element("span", { class: "this" }, "This browser") : "",
      ),
      element(
        "td", {}, element("span", { class: "from" }, login.address),
        element("span", { class: "with", title: login.software }, words.software(login.software)),
      ),
      element("td", {}, end),
    );
  }

  async #end(loginId) {
    await this.#try(() => api.endLogin(loginId));
    await this.#read();
  }

  /** Do it, and say so if it cannot be done; anything but a refusal is a mistake of ours. */
  async #try(action) {
    try {
      await action();
      setText(this.trouble, "");
    } catch (error) {
      if (this.#abort.signal.aborted) return;
      if (!(error instanceof api.ApiError)) throw error;
      setText(this.trouble, words.sentence(error.message));
    }
  }
}
