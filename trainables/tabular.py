"""Cross-validate gradient boosting on breast cancer data (569 rows, 30 columns): no torch, many short trials."""

import argparse

from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import cross_val_score

import orchestrator


def main() -> None:
    """Report the mean and the spread of the accuracy over five folds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--learning_rate", type=float, default=0.1)
    parser.add_argument("--max_leaf_nodes", type=int, default=31)
    parser.add_argument("--l2_regularization", type=float, default=0.0)
    parser.add_argument("--max_iter", type=int, default=50)
    args = parser.parse_args()
    features, labels = load_breast_cancer(return_X_y=True)
    model = HistGradientBoostingClassifier(random_state=0, **vars(args))
    scores = cross_val_score(model, features, labels, cv=5)
    orchestrator.report({"accuracy": scores.mean(), "accuracy_std": scores.std()})
    print(f"accuracy {scores.mean():.4f} +- {scores.std():.4f}")


if __name__ == "__main__":
    main()
