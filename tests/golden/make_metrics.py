"""Writes metrics.txt: labels, logits and scores, and what scikit-learn and float64 arithmetic make of them.

Each line is a name and its numbers. Run by hand with scikit-learn installed: python3 make_metrics.py > metrics.txt
"""
import numpy as np
from sklearn import metrics


def line(name, values):
    print(name, *(repr(v) for v in np.ravel(values).tolist()))


rng = np.random.RandomState(7)

# Three classes; two rows whose exponentials overflow and underflow.
labels = rng.randint(0, 3, 60)
logits = np.round(rng.randn(60, 3) * 2 + np.eye(3)[labels] * 1.5, 2)
logits[5] = [800, -800, 3]
logits[6] = [-1000, -1000, -999.5]
predicted = logits.argmax(1)
weights = np.array([4.0, 1.0, 0.5])
precision, recall, f1, support = metrics.precision_recall_fscore_support(labels, predicted, zero_division=0)
shifted = logits - logits.max(1, keepdims=True)
losses = -(shifted - np.log(np.exp(shifted).sum(1, keepdims=True)))[np.arange(60), labels]
line("labels", labels)
line("logits", logits)
line("weights", weights)
line("confusion", metrics.confusion_matrix(labels, predicted))
line("precision", precision)
line("recall", recall)
line("f1", f1)
line("support", support)
line("accuracy", metrics.accuracy_score(labels, predicted))
line("balanced_accuracy", metrics.balanced_accuracy_score(labels, predicted))
line("log_loss", losses.mean())
line("weighted_log_loss", (losses * weights[labels]).mean())

# Scores with many ties, and without any.
for name, scores in (("tied", np.round(rng.rand(40), 1)), ("distinct", rng.rand(40))):
    positive = rng.rand(40) < scores * 0.7 + 0.1
    line(name + "_scores", scores)
    line(name + "_positive", positive.astype(int))
    line(name + "_auc", metrics.roc_auc_score(positive, scores))
    line(name + "_average_precision", metrics.average_precision_score(positive, scores))
