"""Measurements, each a program of its own: `python -m benchmarks.demo`, ...

They write their tables into docs/benchmarks.md, between the markers of their section.
"""
