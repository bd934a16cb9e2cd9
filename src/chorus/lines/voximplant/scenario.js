/* Chorus on Voximplant: scenario, version 3.
 *
 * It brings calls of your numbers to Chorus, places the calls that Chorus asks for, and carries
 * their sound. Copy it into a scenario of your application, bind that scenario to one routing rule
 * (which takes all numbers, pattern .*), and store the number's voximplantScenarioSecret as a
 * secret of the application, named CHORUS_SECRET.
 *
 * A call in:  CallAlerting → POST /voximplant/call → answered → WebSocket → sound both ways
 * A call out: StartScenarios → callPSTN or callSIP → answered → WebSocket → sound both ways
 *
 * Everything that it tells Chorus carries the secret, and it obeys nothing that does not.
 */

const VERSION = 3;
const CHORUS_URL = "https://chorus.example.com";
const MEDIA_URL = "wss://chorus.example.com";
const SECRET = VoxEngine.getSecretValue("CHORUS_SECRET");

let control = ""; // where Chorus reaches this session; its id of the call
let call = null;
let callId = "";
let number = ""; // ours
let socket = null;
let other = null; // who the person is being connected with
let connected = false;
let over = false;

VoxEngine.addEventListener(AppEvents.Started, (event) => {
  control = event.accessSecureURL;
  const wish = VoxEngine.customData();
  if (wish) place(JSON.parse(wish));
});

VoxEngine.addEventListener(AppEvents.CallAlerting, async (event) => {
  if (call !== null) {
    event.call.reject(486);
    return;
  }
  number = digits(event.destination);
  watch(event.call);
  const answer = await post("/voximplant/call", {
    from: event.callerid,
    to: event.destination,
    headers: event.headers || {},
  });
  if (over) return;
  if (answer.code !== 200) {
    Logger.write(`Chorus answered ${answer.code}: ${answer.error || answer.text || ""}`);
    call.reject(503);
    return;
  }
  const decision = JSON.parse(answer.text);
  if (!decision.callId) {
    call.reject(decision.code);
    return;
  }
  callId = decision.callId;
  call.addEventListener(CallEvents.Connected, () => listen(decision.token));
  call.answer();
});

// c: call, k: its token, t: to, f: from, s: seconds that it may ring.
function place(wish) {
  callId = wish.c;
  number = digits(wish.f);
  watch(dial(wish.t));
  call.addEventListener(CallEvents.Ringing, () => tell({ status: "ringing" }));
  call.addEventListener(CallEvents.Connected, () => {
    tell({ status: "connected" });
    listen(wish.k);
  });
  setTimeout(() => {
    if (!connected && !over) {
      call.hangup();
      end({ code: 408, reason: "Request Timeout" });
    }
  }, wish.s * 1000);
}

VoxEngine.addEventListener(AppEvents.HttpRequest, (event) => {
  let asked = {};
  try {
    asked = JSON.parse(event.content);
  } catch (error) {
    return "not JSON";
  }
  if (!SECRET || asked.secret !== SECRET) return "not Chorus";
  if (asked.command !== "hangup" || over) return "nothing to do";
  if (call !== null) call.hangup();
  end({ code: connected ? 200 : 487, reason: "ended by Chorus", by: "chorus" });
  return "ok";
});

function watch(made) {
  call = made;
  call.addEventListener(CallEvents.Connected, () => {
    connected = true;
  });
  call.addEventListener(CallEvents.Failed, (event) => end({ code: event.code, reason: event.reason }));
  call.addEventListener(CallEvents.Disconnected, (event) =>
    end({ code: event.internalCode || 200, reason: event.reason, duration: event.duration, by: "person" }),
  );
  call.addEventListener(CallEvents.ToneReceived, (event) => say({ chorus: "digit", digit: event.tone }));
}

function listen(token) {
  socket = VoxEngine.createWebSocket(`${MEDIA_URL}/voximplant/media/${callId}/${token}`);
  socket.addEventListener(WebSocketEvents.OPEN, () => {
    call.handleTones(true);
    call.sendMediaTo(socket, {
      encoding: WebSocketAudioEncoding.ULAW,
      tag: "person",
      customParameters: { legId: control, version: String(VERSION) },
    });
    socket.sendMediaTo(call, { encoding: WebSocketAudioEncoding.ULAW, tag: "agent" });
  });
  socket.addEventListener(WebSocketEvents.MESSAGE, (event) => obey(event.text));
  socket.addEventListener(WebSocketEvents.ERROR, () => lost("the WebSocket failed"));
  socket.addEventListener(WebSocketEvents.CLOSE, () => lost("Chorus closed the WebSocket"));
}

function obey(text) {
  let asked = {};
  try {
    asked = JSON.parse(text);
  } catch (error) {
    return;
  }
  if (asked.chorus === "clear") {
    socket.clearMediaBuffer({ tag: "agent" });
  } else if (asked.chorus === "press") {
    call.sendDigits(asked.digit);
  } else if (asked.chorus === "transfer" && other === null) {
    connect(asked.to, asked.seconds);
  }
}

function connect(to, seconds) {
  const called = (other = dial(to));
  let met = false;
  const ringsTooLong = () => {
    if (!met && other === called) called.hangup();
  };
  if (seconds) setTimeout(ringsTooLong, seconds * 1000);
  other.addEventListener(CallEvents.Connected, () => {
    met = true;
    const gone = socket;
    socket = null;
    // Before the media stops, which would look like a hang-up.
    gone.send(JSON.stringify({ chorus: "transferred" }));
    call.stopMediaTo(gone);
    VoxEngine.sendMediaBetween(call, other);
    gone.close();
  });
  const left = (event) => {
    if (met) {
      call.hangup();
    } else {
      other = null;
      say({ chorus: "not_transferred", code: event.code || 0, reason: event.reason || "" });
    }
  };
  other.addEventListener(CallEvents.Failed, left);
  other.addEventListener(CallEvents.Disconnected, left);
}

// A number, or a SIP address.
function dial(to) {
  if (to.startsWith("sip")) return VoxEngine.callSIP(to, { callerid: number });
  return VoxEngine.callPSTN(digits(to), number);
}

// The call goes on only while somebody talks with the person.
function lost(reason) {
  if (socket === null || over) return;
  Logger.write(reason);
  socket = null;
  call.hangup();
}

// Once, however the call ended; the session ends when Chorus knows.
async function end(how) {
  if (over) return;
  over = true;
  if (other !== null) other.hangup();
  if (socket !== null) {
    say({ chorus: "ended" });
    socket.close();
  }
  await tell({ status: "ended", answered: connected, ...how });
  VoxEngine.terminate();
}

async function tell(what) {
  if (callId) await post("/voximplant/status", { callId, ...what });
}

function say(what) {
  if (socket !== null) socket.send(JSON.stringify(what));
}

function post(path, body) {
  return Net.httpRequestAsync(CHORUS_URL + path, {
    method: "POST",
    timeout: 10,
    headers: { "Content-Type": "application/json", Authorization: `Bearer ${SECRET}` },
    postData: JSON.stringify({ legId: control, version: VERSION, ...body }),
  });
}

function digits(number) {
  return number.replace("+", "");
}
