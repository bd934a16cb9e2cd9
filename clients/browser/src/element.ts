// `<chorus-call>`: a button that calls an agent, for a page of any site.
//
//   <script type="module" src="https://voice.example/embed/element.js"></script>
//   <chorus-call token="pk_live_…"></chorus-call>
//
// The page's origin has to be one of the token's. Attributes, parts, events and words are in
// README.md. All text is set as text, never as markup.
import { BrowserCall, type Ended } from "./call.js";
import { beginWith, Refused } from "./begin.js";
import { type Format } from "./protocol.js";

/** What the person reads; each can be replaced by the attribute `text-NAME`. */
const WORDS = {
  call: "Talk to us",
  again: "Call again",
  "hang-up": "Hang up",
  mute: "Mute",
  unmute: "Unmute",
  connecting: "Connecting…",
  connected: "Connected",
  reconnecting: "The connection was lost. Trying again…",
  silent: "The sound is stopped. Tap here to go on.",
  over: "The call is over.",
  lost: "The connection was lost.",
  failed: "The call failed. Please try again later.",
  unreachable: "The server cannot be reached.",
  microphone: "The microphone cannot be used. Allow it for this page, and try again.",
  insecure: "Calls need a page with https.",
  origin: "This page may not make calls.",
  revoked: "Calls from this page have been switched off.",
  busy: "All lines are busy. Please try again in a moment.",
  limit: "There were too many calls. Please try again later.",
  closed: "Nobody takes calls here at the moment.",
  you: "You",
  agent: "Agent",
  level: "Loudness",
  transcript: "What was said",
} as const;
type Word = keyof typeof WORDS;

const OF_CODE: Record<string, Word> = {
  origin_not_allowed: "origin",
  publishable_token_revoked: "revoked",
  publishable_token_not_found: "revoked",
  too_many_calls_concurrent: "busy",
  too_many_concurrent_calls: "busy",
  too_many_calls_hour: "limit",
  too_many_calls_address: "limit",
  rate_limited: "limit",
  agent_inactive: "closed",
  insufficient_funds: "closed",
  organization_suspended: "closed",
  unavailable: "closed",
  unreachable: "unreachable",
};
const OF_END: Record<string, Word> = {
  ended: "over",
  hung_up: "over",
  taken_over: "over",
  lost: "lost",
  not_here: "lost",
  unreachable: "unreachable",
  microphone_denied: "microphone",
  microphone_missing: "microphone",
  microphone_busy: "microphone",
  insecure: "insecure",
};
const MOST_LINES = 200;

const STYLE = `
:host { display: inline-block; font: inherit; max-width: 100%; }
:host([hidden]), [hidden] { display: none !important; }
.bar { display: flex; flex-wrap: wrap; gap: .5rem; align-items: center; }
button { font: inherit; padding: .6em 1.1em; min-height: 44px; border-radius: .5em; border: 1px solid currentColor; background: transparent; color: inherit; cursor: pointer; }
.call { background: #1d4ed8; border-color: #1d4ed8; color: #fff; }
.hang-up { background: #b91c1c; border-color: #b91c1c; color: #fff; }
button:focus-visible { outline: 3px solid #f59e0b; outline-offset: 2px; }
p { margin: .5rem 0 0; overflow-wrap: anywhere; }
meter { inline-size: 6rem; }
ol { list-style: none; margin: .5rem 0 0; padding: 0; max-block-size: 16rem; overflow: auto; overflow-wrap: anywhere; }
`;

function make<K extends keyof HTMLElementTagNameMap>(tag: K, part: string, ...children: Node[]): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  made.className = part;
  made.setAttribute("part", part);
  made.append(...children);
  return made;
}

export class ChorusCall extends HTMLElement {
  #call: BrowserCall | undefined;
  #muted = false;
  #bar = make("div", "bar");
  #start = make("button", "call");
  #end = make("button", "hang-up");
  #mute = make("button", "mute");
  #level = make("meter", "level");
  #state = make("p", "state");
  #said = make("ol", "transcript");

  constructor() {
    super();
    const root = this.attachShadow({ mode: "open", delegatesFocus: true });
    // A style sheet that is constructed is no inline style: the page's policy need not allow any.
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(STYLE);
    root.adoptedStyleSheets = [sheet];
    for (const button of [this.#start, this.#end, this.#mute]) button.type = "button";
    this.#level.max = 0.3;
    this.#state.setAttribute("role", "status");
    this.#said.setAttribute("role", "log");
    this.#said.tabIndex = 0; // it scrolls
    this.#bar.append(this.#start, this.#mute, this.#end, this.#level);
    root.append(this.#bar, this.#state, this.#said);
    this.#start.onclick = () => this.call();
    this.#end.onclick = () => this.hangUp();
    this.#mute.onclick = () => this.mute(!this.#muted);
  }

  connectedCallback(): void {
    this.#level.setAttribute("aria-label", this.#word("level"));
    this.#said.setAttribute("aria-label", this.#word("transcript"));
    this.#end.textContent = this.#word("hang-up");
    this.mute(this.#muted);
    this.#show();
  }

  disconnectedCallback(): void {
    this.hangUp();
  }

  /** In a click or a tap. Does nothing during a call. */
  call(): void {
    if (this.#call) return;
    const call = (this.#call = new BrowserCall({ format: (this.getAttribute("format") ?? undefined) as Format | undefined }));
    let why: Word | undefined;
    this.mute(false);
    this.#said.replaceChildren();
    this.#tell("connecting");
    this.#show();
    this.#end.focus();
    call.on("state", (state) => {
      if (state !== "ended") this.#tell(state);
      this.#fire("state", state);
    });
    call.on("sound", (runs) => this.#tell(runs ? "connected" : "silent"));
    call.on("levels", (levels) => {
      this.#level.value = Math.max(levels.caller, levels.agent);
      this.#fire("levels", levels);
    });
    call.on("event", (happening) => {
      const { kind, data } = happening;
      if (kind === "turn_committed") this.#say("you", data["text"]);
      if (kind === "reply_heard") this.#say("agent", data["heard"]);
      this.#fire("event", happening);
    });
    call.on("ended", (ended: Ended) => {
      this.#call = undefined;
      const hadFocus = this.shadowRoot?.activeElement;
      this.#tell(why ?? OF_END[ended.reason] ?? "failed");
      this.#show();
      if (hadFocus) this.#start.focus();
      this.#fire("ended", { ...ended, word: why ?? OF_END[ended.reason] ?? "failed" });
    });
    void call.connect(async () => {
      try {
        return await beginWith(this.getAttribute("token") ?? "", this.getAttribute("server") ?? undefined);
      } catch (reason) {
        if (reason instanceof Refused) why = OF_CODE[reason.code] ?? "failed";
        throw reason;
      }
    });
  }

  hangUp(): void {
    this.#call?.hangUp();
  }

  mute(muted: boolean): void {
    this.#muted = muted;
    this.#call?.mute(muted);
    this.#mute.setAttribute("aria-pressed", String(muted));
    this.#mute.textContent = this.#word(muted ? "unmute" : "mute");
  }

  #show(): void {
    const live = this.#call !== undefined;
    this.#start.hidden = live;
    this.#start.textContent = this.#word(this.#state.textContent ? "again" : "call");
    for (const part of [this.#end, this.#mute, this.#level]) part.hidden = !live;
    this.#said.hidden = !this.hasAttribute("transcript") || !this.#said.childElementCount;
  }

  #tell(word: Word): void {
    this.dataset["state"] = word;
    this.#state.textContent = this.#word(word);
  }

  #say(who: "you" | "agent", text: unknown): void {
    if (typeof text !== "string" || !text || !this.hasAttribute("transcript")) return;
    const line = make("li", who, document.createTextNode(`${this.#word(who)}: ${text}`));
    this.#said.append(line);
    while (this.#said.childElementCount > MOST_LINES) this.#said.firstElementChild?.remove();
    this.#said.hidden = false;
    this.#said.scrollTop = this.#said.scrollHeight;
  }

  #word(word: Word): string {
    return this.getAttribute(`text-${word}`) ?? WORDS[word];
  }

  #fire(kind: string, detail: unknown): void {
    this.dispatchEvent(new CustomEvent(`chorus-${kind}`, { detail, bubbles: true, composed: true }));
  }
}

if (!customElements.get("chorus-call")) customElements.define("chorus-call", ChorusCall);
