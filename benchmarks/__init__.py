"""Figures that decisions rest on; each can be measured again. See README.md."""
