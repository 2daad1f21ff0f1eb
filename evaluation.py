"""Score an adapter folder on its test fold again.

python evaluation.py outputs/esc50_conformer/fold_1/last
"""

from src.cli import main

if __name__ == "__main__":
    raise SystemExit(main(verb="evaluate", prog="evaluation.py"))
