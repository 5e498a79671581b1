"""Writes metrics.txt: labels, logits and scores, and what scikit-learn and float64 arithmetic make of them.

Each line is a name and its numbers. Run by hand with scikit-learn and SciPy installed: python3 make_metrics.py > metrics.txt
"""
import numpy as np
from scipy import optimize, special
from sklearn import calibration, metrics


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
    false_positive_rate, recall, thresholds = metrics.roc_curve(positive, scores, drop_intermediate=False)
    line(name + "_roc", np.stack([false_positive_rate, recall], 1)[1:])
    line(name + "_thresholds", thresholds[1:])
    # By falling threshold, without the point (recall 0, precision 1) that is appended for none.
    precision, recall, _ = metrics.precision_recall_curve(positive, scores)
    line(name + "_precision_recall", np.stack([precision, recall], 1)[:-1][::-1])
    line(name + "_brier", metrics.brier_score_loss(positive, scores))
    share, mean = calibration.calibration_curve(positive, scores, n_bins=10)
    line(name + "_reliability", np.stack([mean, share], 1))
    counts = np.histogram(scores, np.nextafter(np.linspace(0, 1, 11), 2))[0] + (np.arange(10) == 0) * (scores == 0).sum()
    counts = counts[counts > 0]
    line(name + "_calibration_error", (counts * np.abs(mean - share)).sum() / len(scores))

# Scores that count 0 to 3 times each, as in a bootstrap's resample.
counts = rng.randint(0, 4, 40)
line("counts", counts)
line("counted_auc", metrics.roc_auc_score(positive, scores, sample_weight=counts))

# The temperature of logits that are three times too large.
labels = rng.randint(0, 2, 80)
logits = np.round(3 * (rng.randn(80, 2) + np.eye(2)[labels]), 2)


def mean_log_loss(inverse):
    return (special.logsumexp(logits * inverse, axis=1) - logits[np.arange(80), labels] * inverse).mean()


line("overconfident_labels", labels)
line("overconfident_logits", logits)
line("temperature", 1 / optimize.minimize_scalar(mean_log_loss, bounds=(0.05, 20), method="bounded", options={"xatol": 1e-12}).x)
