"""Measurements that one can run; what they gave is in docs/benchmarks.md."""
