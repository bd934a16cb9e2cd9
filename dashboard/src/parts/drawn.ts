// Drawing much of a page without holding up what is done on it. What React draws for an answer of the
// server it draws in one go, which on a telephone takes long enough to be felt; what is deferred it
// draws in pieces of a few milliseconds, between which the browser answers to touches and keys.
import { useDeferredValue } from "react";

/** Whether to draw what waits for `ready`: false until then, and while it is begun in pieces. */
export function useDrawn(ready: boolean): boolean {
  return useDeferredValue(ready) && ready;
}
