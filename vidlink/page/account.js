// Who is logged in: the name and the way out at the top of the page, what the login may do, and the line that
// says that it has ended. The list of logins is logins.js.

import * as api from "./api.js";
import { element, setText } from "./dom.js";
import * as words from "./words.js";

/** Where one's own logins are. */
export const LOGINS_HASH = "#/logins";

/** Where to log in, to come back to what is shown now. */
export const wayIn = () => new URL(`login.html${location.hash}`, document.baseURI);

/** `on` has `left()`, for when somebody has logged out here. */
export class Account {
  #me = null;
  #on;

  constructor(on) {
    this.#on = on;
    this.who = element("a", { href: LOGINS_HASH, title: "Your logins" });
    const out = element("button", { type: "button" }, "Log out");
    out.addEventListener("click", () => this.leave(api.logOut));
    this.root = element("nav", { "aria-label": "Your login", hidden: true }, this.who, out);
    this.line = element("p", { class: "ended", role: "alert", hidden: true });
    this.again = element("a", { class: "button" }, "Log in again");
    addEventListener("hashchange", () => this.again.setAttribute("href", wayIn()));
  }

  /** Whoever is logged in; an open server has nobody to show. */
  show(me) {
    this.#me = me;
    this.root.hidden = me.access !== "closed";
    setText(this.who, me.name);
  }

  /** The login has ended; what is shown stays, and is left to whoever reads it. */
  end() {
    if (this.#me === null) return location.replace(wayIn());
    const what = this.#me.access === "closed"
      ? `The login of ${this.#me.name} has ended` : "The server asks for a login now";
    this.again.setAttribute("href", wayIn());
    if (!this.again.isConnected) this.line.replaceChildren(`${what}. `, this.again);
    this.line.hidden = false;
    this.root.hidden = true;
  }

  /** There is a login again. */
  resume() {
    this.line.hidden = true;
    this.root.hidden = this.#me.access !== "closed";
  }

  /** End logins, this one among them, and leave nothing of what was shown to whoever is here next. */
  async leave(end) {
    try {
      await end();
    } catch (error) {
      if (!(error instanceof api.ApiError)) throw error;
      if (error.status !== 401) {
        this.line.replaceChildren(`You are still logged in. ${words.sentence(error.message)}`);
        this.line.hidden = false;
        return;
      }
    }
    this.#on.left();
  }

  /** What a login that may not watch is for. */
  rights() {
    const may = this.#me.may.map((right) => RIGHTS[right]).filter((made) => made !== undefined);
    return element(
      "section", { class: "rights", "aria-label": "Rights" },
      element("h1", { tabindex: "-1" }, this.#me.name),
      element("p", {}, may.length > 0 ? "This login may" : "This login may do nothing here."),
      element("ul", {}, ...may.map((made) => element("li", {}, ...made()))),
      element(
        "p", {}, "Screens are not part of it, neither live nor recorded. ",
        "Whoever runs the server can give it the right to watch.",
      ),
    );
  }
}

const link = (href, text) => element("a", { href }, text);

const RIGHTS = {
  audit: () => [
    "read ", link("api/v1/audit", "who did what"), ", ",
    link("api/v1/receipts", "what was deleted"), " and ",
    link("api/v1/retention", "what is kept for how long"),
  ],
  manage: () => ["see and end the logins of others"],
};
