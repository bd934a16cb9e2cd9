"""A carrier in a process of its own, which behaves as Twilio's documentation says Twilio does.

`chorus demo` and the tests of the line talk to it over real sockets. It knows nothing of
Chorus: its signatures, its TwiML and its media streams are its own reading of the protocol,
so that the two sides check each other. Nothing in it is reachable from outside loopback.

  signature.py  signs webhooks          person.py    who is at the other end, as a script
  twiml.py      reads TwiML             stream.py    one media stream: 20 ms frames, playout
  call.py       the life of one call    exchange.py  accounts, numbers, calls, events
  api.py        the REST API            control.py   what tests and the demo steer it by
  client.py     starts and steers the process from Python
"""
