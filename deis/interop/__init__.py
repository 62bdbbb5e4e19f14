"""Bridges to other libraries, one file each; each is imported only where it is used."""
