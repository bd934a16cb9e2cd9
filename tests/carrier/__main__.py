"""`python -m tests.carrier`: the stand-in for Twilio, by hand."""

from chorus.demo.carrier.__main__ import main

main()
