// The way in, by name and password. It needs nothing of the rest of the page, so that it is there when that
// fails. The place to go on at is the fragment of the address: whatever stands there, it leads to no
// other path, let alone to another server.

/** A password waits behind those of others; the server answers long before, if it is there. */
const PATIENCE_MS = 60_000;

const WRONG = "Name or password is wrong.";
const UNREACHABLE = "The server cannot be reached. Look whether it runs, and whether this computer has a "
  + "network; then try again.";
const NEEDS_TLS = "A password is taken over TLS only. Open the address of this server that begins with "
  + "https:// – whoever runs it knows it – or use the browser on the server itself.";
const NO_COOKIE = "Name and password are right, but the browser does not show the cookie of the login. Allow "
  + "cookies for this address, and delete those that there are; then try again.";
const REFUSED = {
  "wrong-password": WRONG,
  "bad-parameter": WRONG,
  "too-many-tries": "Too many passwords were tried. Wait for a minute, then try again.",
  "needs-tls": NEEDS_TLS,
};

const form = document.getElementById("login");
const user = document.getElementById("user");
const password = document.getElementById("password");
const button = form.querySelector("button");
const said = document.getElementById("said");
const provider = document.getElementById("provider");

let busy = false;

function goOn() {
  location.replace(new URL(`./${location.hash}`, location.href));
}

/** Say what is wrong, and have it put right where it was typed. */
function refuse(text) {
  said.textContent = text;
  if (text === WRONG) password.setAttribute("aria-invalid", "true");
  password.focus();
  password.select();
}

async function ask(path, init) {
  const signal = AbortSignal.timeout(PATIENCE_MS);
  const answer = await fetch(path, { cache: "no-store", signal, ...init });
  return { status: answer.status, value: await answer.json().catch(() => null) };
}

async function logIn() {
  const answer = await ask("api/v1/login", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ user: user.value.trim(), password: password.value }),
  });
  if (answer.status !== 200) {
    const error = answer.value?.error;
    return refuse(REFUSED[error?.code] ?? `The server says: ${error?.message ?? answer.status}.`);
  }
  if ((await ask("api/v1/me")).status === 401) return refuse(NO_COOKIE);
  goOn();
}

async function submit(event) {
  event.preventDefault();
  if (busy) return;
  busy = true;
  form.setAttribute("aria-busy", "true");
  button.textContent = "Logging in…";
  said.textContent = "";
  password.removeAttribute("aria-invalid");
  await logIn().catch(() => refuse(UNREACHABLE));
  busy = false;
  form.removeAttribute("aria-busy");
  button.textContent = "Log in";
}

/** Some are known elsewhere, where a link leads then. */
async function offerProvider() {
  const { value } = await ask("api/v1/oidc");
  if (typeof value?.name !== "string") return;
  const link = provider.firstElementChild;
  link.href = "api/v1/oidc/start";
  link.textContent = `Log in with ${value.name}`;
  provider.hidden = false;
}

/** Who is logged in already, or need not be, has no business here. */
async function start() {
  form.addEventListener("submit", submit);
  if (!isSecureContext) {
    // What is typed here would be read on its way to a server that does not take it.
    for (const field of [user, password, button]) field.disabled = true;
    said.textContent = NEEDS_TLS;
    return;
  }
  offerProvider().catch(() => {});
  const { status, value } = await ask("api/v1/me").catch(() => ({ status: 0 }));
  if (status === 200 && value?.access === "closed") return goOn();
  if (status !== 200) return;
  const open = document.createElement("a");
  open.href = "./";
  open.textContent = "Go on without";
  form.append("This server asks nobody for a login. ", open);
}

start();
