"""Train and test by cross-validation.

python train.py --config configs/esc50_conformer.yaml
"""

from src.cli import main

if __name__ == "__main__":
    raise SystemExit(main(verb="train", prog="train.py"))
