"""Formats of makers of microscopes, read through packages of the extra `microscopes`."""
