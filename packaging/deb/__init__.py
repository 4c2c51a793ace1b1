"""Builds the Debian packages, one per architecture, from the lock and this tree."""
