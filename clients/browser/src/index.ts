export { beginWith, Refused } from "./begin.js";
export { BrowserCall, type Ended, type Events, type Levels, type Options, type State } from "./call.js";
export type { Begun, Format, Happening, Reason } from "./protocol.js";
export type { Trouble } from "./sound.js";
