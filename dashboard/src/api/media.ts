// Where the page reaches a call's audio.

const MACHINE = new Set(["localhost", "127.0.0.1", "[::1]", "0.0.0.0"]);

/** `named` is the server's word for it: the same host under which the page has it, or, with
 *  CHORUS_MEDIA_URL, another, which the page's policy allows as well. */
export function mediaUrl(named: string): string {
  const url = new URL(named);
  const here = window.location;
  // A server without a public URL knows itself by a name that only its own machine has.
  const nameless = MACHINE.has(url.hostname) && !MACHINE.has(here.hostname);
  if (url.host === here.host || nameless) {
    url.host = here.host;
    url.protocol = here.protocol === "https:" ? "wss:" : "ws:";
  }
  return url.href;
}
