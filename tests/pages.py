"""The pages whose numbers tests compute again, and the tables they are computed from."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TABLES = ROOT / "figures" / "results"
README, FOUND, MORE = (
    " ".join((ROOT / name).read_text().split())
    for name in ("README.md", "figures/findings.md", "notebooks/README.md")
)
LESSON_04, LESSON_07, LESSON_A2 = (
    " ".join((ROOT / f"notebooks/source/{name}.py").read_text().replace("\n#", "\n").split())
    for name in ("04_learning_from_encrypted_images", "07_private_fine_tuning", "A2_private_steps")
)
