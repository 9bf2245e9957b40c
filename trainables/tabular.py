"""Cross-validate gradient boosting on breast cancer data (569 rows, 30 columns): no torch, many short trials."""

import wandb
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import StratifiedKFold, cross_val_score

DEFAULTS = {"learning_rate": 0.1, "max_leaf_nodes": 31, "l2_regularization": 0.0, "max_iter": 50}


def main() -> None:
    """Log the mean and the spread of the accuracy over five folds."""
    with wandb.init(project="tabular", config=DEFAULTS) as run:
        features, labels = load_breast_cancer(return_X_y=True)
        model = HistGradientBoostingClassifier(random_state=0, **run.config)
        folds = StratifiedKFold(n_splits=5, shuffle=True, random_state=0)
        scores = cross_val_score(model, features, labels, cv=folds)
        run.log({"accuracy": scores.mean(), "accuracy_std": scores.std()})
        print(f"accuracy {scores.mean():.4f} +- {scores.std():.4f}")


if __name__ == "__main__":
    main()
