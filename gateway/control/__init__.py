"""How commands talk to the running daemon, and what they read when it is down."""
