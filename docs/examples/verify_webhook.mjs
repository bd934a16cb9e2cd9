// Check that a webhook comes from your Chorus. Needs nothing but Node 18.
//
//     const payload = verify(SECRET, request.headers, rawBody);
//
// `body` must be the bytes as they arrived (a Buffer): JSON that was parsed and written again is
// other bytes. Header names must be in lower case, as Node's `request.headers` has them.
// Either check alone is enough; `verify` reads the Standard Webhooks headers.

import { createHmac, timingSafeEqual } from "node:crypto";

const TOLERANCE_S = 300;

export function verify(secret, headers, body) {
  const id = headers["webhook-id"];
  const timestamp = headers["webhook-timestamp"];
  const signatures = headers["webhook-signature"];
  if (!id || !signatures) throw new Error("a webhook header is missing");
  checkAge(timestamp);
  const hmac = createHmac("sha256", keyOf(secret)).update(`${id}.${timestamp}.`).update(body);
  checkAny(`v1,${hmac.digest("base64")}`, signatures.split(" "));
  return JSON.parse(body);
}

// The same by `X-Chorus-Signature: t=<unix seconds>,v1=<hex>[,v1=<hex>]`.
export function verifyChorusHeader(secret, headers, body) {
  const parts = (headers["x-chorus-signature"] ?? "").split(",").map((part) => part.split("="));
  const timestamp = parts.find(([name]) => name === "t")?.[1];
  checkAge(timestamp);
  const hmac = createHmac("sha256", keyOf(secret)).update(`${timestamp}.`).update(body);
  checkAny(
    hmac.digest("hex"),
    parts.filter(([name]) => name === "v1").map(([, value]) => value),
  );
  return JSON.parse(body);
}

// After `whsec_` comes base64; any other secret is its own UTF-8 bytes.
export function keyOf(secret) {
  const match = /^whsec_((?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?)$/.exec(secret);
  return match && match[1] ? Buffer.from(match[1], "base64") : Buffer.from(secret, "utf8");
}

// An old message may be one that somebody recorded and sends again.
function checkAge(timestamp) {
  const valid = /^\d+$/.test(timestamp ?? "");
  if (!valid || Math.abs(Date.now() / 1000 - Number(timestamp)) > TOLERANCE_S) {
    throw new Error("the timestamp is missing, too old or too new");
  }
}

// After a secret was replaced there are two signatures for a day; one must fit.
function checkAny(expected, signatures) {
  const wanted = Buffer.from(expected);
  const fits = signatures.some((each) => {
    const given = Buffer.from(each);
    return given.length === wanted.length && timingSafeEqual(given, wanted);
  });
  if (!fits) throw new Error("no signature fits");
}
