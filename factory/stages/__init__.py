"""The five stages: each module offers `run(context)` and `judge(context)`."""
