"""SIP trunks and PBXs: a user agent of our own, from the bytes up to the `Line`.

Read it upwards. `grammar`, `uri`, `message` and `sdp` are text; `transactions`, `dialog`,
`outgoing`, `incoming` and `session` are the state machines of RFC 3261 and its relatives, which
know neither sockets nor an event loop; `transport` and `agent` run them on asyncio; `media/` is
RTP; `line` joins both into what a conversation speaks over.
"""
