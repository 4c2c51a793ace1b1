"""Builds the signed repository from which boxes upgrade themselves."""
